"""What is checked: a function of nested arguments and its gradient, from here, by hand or from another library."""
