"""Linear algebra in C: systems, inverses and determinants by elimination, and Cholesky factors.

A singular matrix gives infinity or NaN, and so does one that is not positive definite: C raises no errors.
"""

_ELIMINATE = """\
/* Turns an n x n matrix u into an upper triangle: exchanges rows and subtracts rows from others, there and in m
   columns of x. The result is the sign of the exchanges. */
static double eliminate(
    ptrdiff_t n, double *restrict u, ptrdiff_t m, double *restrict x, ptrdiff_t row, ptrdiff_t column)
{
    double sign = 1;
    for (ptrdiff_t k = 0; k < n; k++) {
        ptrdiff_t best = k;
        for (ptrdiff_t i = k + 1; i < n; i++)
            if (fabs(u[i * n + k]) > fabs(u[best * n + k]))
                best = i;
        if (best != k) {
            sign = -sign;
            for (ptrdiff_t j = k; j < n; j++) {
                const double kept = u[k * n + j];
                u[k * n + j] = u[best * n + j];
                u[best * n + j] = kept;
            }
            for (ptrdiff_t j = 0; j < m; j++) {
                const double kept = x[k * row + j * column];
                x[k * row + j * column] = x[best * row + j * column];
                x[best * row + j * column] = kept;
            }
        }
        if (u[k * n + k] == 0 && m == 0)
            continue;
        for (ptrdiff_t i = k + 1; i < n; i++) {
            const double factor = u[i * n + k] / u[k * n + k];
            for (ptrdiff_t j = k + 1; j < n; j++)
                u[i * n + j] -= factor * u[k * n + j];
            for (ptrdiff_t j = 0; j < m; j++)
                x[i * row + j * column] -= factor * x[k * row + j * column];
        }
    }
    return sign;
}"""

_SOLVE = """\
/* Solves u x = b for m columns; x begins as b, and the n x n matrix u is overwritten. */
static void solve(ptrdiff_t n, double *restrict u, ptrdiff_t m, double *restrict x, ptrdiff_t row, ptrdiff_t column)
{
    eliminate(n, u, m, x, row, column);
    for (ptrdiff_t i = n - 1; i >= 0; i--)
        for (ptrdiff_t j = 0; j < m; j++) {
            double sum = x[i * row + j * column];
            for (ptrdiff_t k = i + 1; k < n; k++)
                sum -= u[i * n + k] * x[k * row + j * column];
            x[i * row + j * column] = sum / u[i * n + i];
        }
}"""

_DETERMINANT = """\
/* The determinant of an n x n matrix u, which is overwritten: itself, its sign, or the logarithm of its size. */
static void determinant(ptrdiff_t n, double *restrict u, int kind, double *restrict result)
{
    double none = 0, sign = eliminate(n, u, 0, &none, 0, 0), product = sign, sum = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        const double entry = u[i * n + i];
        product *= entry;
        sum += log(fabs(entry));
        sign *= entry > 0 ? 1 : entry < 0 ? -1 : entry;
    }
    *result = kind == 0 ? product : kind == 1 ? sign : sum;
}"""

_CHOLESKY = """\
/* The lower triangle l with l l' = a, which is read from a's lower triangle. */
static void cholesky(
    ptrdiff_t n, const double *restrict a, ptrdiff_t a_row, ptrdiff_t a_column,
    double *restrict l, ptrdiff_t row, ptrdiff_t column)
{
    for (ptrdiff_t i = 0; i < n; i++)
        for (ptrdiff_t j = 0; j < n; j++) {
            double sum = j > i ? 0 : a[i * a_row + j * a_column];
            for (ptrdiff_t k = 0; k < j && j <= i; k++)
                sum -= l[i * row + k * column] * l[j * row + k * column];
            l[i * row + j * column] = j > i ? 0 : j == i ? sqrt(sum) : sum / l[j * row + j * column];
        }
}"""

FUNCTIONS = {"eliminate": _ELIMINATE, "solve": _SOLVE, "determinant": _DETERMINANT, "cholesky": _CHOLESKY}
"""The texts of the functions, by their names in C; those that call others come behind these."""
