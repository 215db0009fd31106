"""Settings of nbgrader for the course in this folder."""

c = get_config()  # noqa: F821  which nbgrader defines
c.CourseDirectory.course_id = "backpropagation"
c.Execute.timeout = 60  # seconds for a cell: a loop that never ends is ended
c.Execute.interrupt_on_timeout = True
