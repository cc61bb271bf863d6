// Claims about the headers of cpp/include/gradwright, checked one by one; exits with 1 if one fails.
//
//     g++ -std=c++17 -O1 -g -fsanitize=address,undefined -fopenmp -Icpp/include
//         cpp/tests/runtime_test.cpp -o runtime_test && ./runtime_test
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <limits>
#include <numeric>
#include <string_view>
#include <vector>

#if defined(__unix__)
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "gradwright/runtime.hpp"

namespace {

using namespace gradwright;

int failures = 0;

void claim(bool holds, const char* what) {
    if (holds) return;
    std::printf("FAILED: %s\n", what);
    ++failures;
}

/// Small integers in a reproducible order: their products and sums are exact in float.
template <class T>
std::vector<T> numbers(Index count, unsigned seed) {
    std::vector<T> values(static_cast<std::size_t>(count));
    for (T& value : values) {
        seed = seed * 1664525U + 1013904223U;
        value = static_cast<T>(static_cast<int>(seed >> 24U) % 9 - 4);
    }
    return values;
}

template <class T>
std::size_t at(T index) {
    return static_cast<std::size_t>(index);
}

void views() {
    std::vector<double> values(12);
    std::iota(values.begin(), values.end(), 0.0);
    const Matrix<double> wide(values.data(), 3, 4);
    claim(wide(1, 2) == 6 && wide.row(2)[3] == 11, "a matrix is read row by row");
    const Matrix<const double> part(values.data() + 1, 3, 2, 4);
    claim(part(2, 1) == 10, "a stride skips the columns of the larger matrix");
    const Matrix<const double> constant = wide.slice(1, 3);
    claim(constant.rows == 2 && constant(0, 0) == 4, "a slice keeps columns and starts at its first row");
    const Vector<const double> row = Vector<double>(values.data(), 4);
    claim(row[3] == 3, "a vector of values reads as a vector of constants");

    const std::int64_t labels[] = {2, 0};
    const OneHot<float> one_hot{labels, 2, 3};
    claim(one_hot(0, 2) == 1 && one_hot(0, 0) == 0 && one_hot.row(1)[0] == 1, "labels read as one-hot rows");
}

void parallel_loops() {
    for (int count : {1, 2, 5}) {
        set_threads(count);
        for (Index items : {0, 1, 2, 63, 1000}) {
            std::vector<int> visits(at(items));
            parallel_for(items, 1 << 20, [&](Index first, Index last) {
                for (Index i = first; i < last; ++i) ++visits[at(i)];
            });
            bool once = true;
            for (int visit : visits) once = once && visit == 1;
            claim(once, "parallel_for visits every item once");
        }
        std::vector<float> values(5000, 1.0F);
        const double total = parallel_sum(5000, 1 << 20, [&](Index first, Index last) {
            return std::accumulate(values.begin() + first, values.begin() + last, 0.0);
        });
        claim(total == 5000.0, "parallel_sum adds every part");

        std::vector<float> from = numbers<float>(7 * 9, 3), to(7 * 9, 0.0F);
        const auto copy = [](Index size, const float* x, float* y) {
            for (Index i = 0; i < size; ++i) y[i] = x[i];
        };
        parallel_entries(1 << 20, copy, Matrix<const float>(from.data(), 7, 9), Matrix<float>(to.data(), 7, 9));
        claim(from == to, "parallel_entries visits contiguous matrices");
        std::vector<float> narrow(7 * 4, 9.0F);
        parallel_entries(1 << 20, copy, Matrix<const float>(from.data(), 7, 4, 9), Matrix<float>(narrow.data(), 7, 4));
        claim(narrow[4] == from[9] && narrow[27] == from[6 * 9 + 3], "parallel_entries visits strided matrices");

        for (Index cols : {1, 15, 16, 17, 1500, 5000}) {
            std::vector<int> visits(at(cols));
            bool narrow_enough = true;
            parallel_columns(1000, cols, 100, [&](Index first, Index last) {
                if (last - first > column_tile) narrow_enough = false;
                for (Index k = first; k < last; ++k) ++visits[at(k)];
            });
            claim(narrow_enough, "a column tile fits its accumulators");
            claim(std::accumulate(visits.begin(), visits.end(), Index(0)) == cols, "every column is visited once");
        }
    }
    Index rows = 0;
    row_blocks(19, [&](Index n, auto size) {
        claim(n == rows, "row blocks come in order");
        rows += size();
    });
    claim(rows == 19, "row blocks cover all rows");
}

void walks() {
    for (int count : {1, 2, 5}) {
        set_threads(count);
        for (Index N : {0, 1, 7, 8, 61, 300}) {
            for (Index K : {0, 1, 17, 1024, 2500}) {
                const std::vector<float> x = numbers<float>(N * K, 6);
                const Matrix<const float> X(x.data(), N, K);
                std::vector<int> visits(at(N));
                std::vector<double> sums(at(K), -1), counts(at(K), -1), expected(at(K));
                parallel_walk<2>(
                    N, K, 1 << 20, [&](Index first, Index last) {
                        for (Index n = first; n < last; ++n) ++visits[at(n)];
                    },
                    [&](Index block, auto size, Index first, Index last, double* sum, double* seen) {
                        for (Index n = block; n < block + size(); ++n) {
                            claim(visits[at(n)] == 1, "a row is worked on once, before its columns are summed");
                            for (Index k = first; k < last; ++k) {
                                sum[k - first] += double(X(n, k));
                                seen[k - first] += 1;
                            }
                        }
                    },
                    [&](Index first, Index last, const double* sum, const double* seen) {
                        std::copy_n(sum, last - first, sums.begin() + first);
                        std::copy_n(seen, last - first, counts.begin() + first);
                    });
                for (Index n = 0; n < N; ++n) {
                    for (Index k = 0; k < K; ++k) expected[at(k)] += double(X(n, k));
                }
                claim(sums == expected, "a walk adds up the columns");
                claim(counts == std::vector<double>(at(K), double(N)), "a walk sums every row once");
                claim(visits == std::vector<int>(at(N), 1), "a walk works on every row");
            }
        }
    }
}

#if defined(__unix__)
void fork_after_a_parallel_loop() {
    set_threads(2);
    double total = 0;
    const auto loop = [&] { total = parallel_sum(1000, 1 << 20, [](Index first, Index last) { return double(last - first); }); };
    loop();
    const pid_t child = fork();
    if (child == 0) {
        alarm(20);  // a child that waits for threads it does not have is killed
        loop();
        _exit(total == 1000.0 ? 0 : 1);
    }
    int status = 1;
    waitpid(child, &status, 0);
    claim(status == 0, "a forked child computes alone");
}
#endif

template <class T>
void reductions() {
    for (Index count : {0, 1, 7, 8, 9, 31, 32, 33, 100, 1001}) {
        const std::vector<T> values = numbers<T>(count, 5);
        const T* x = values.data();
        T total = 0, top = -std::numeric_limits<T>::infinity();
        for (T value : values) {
            total += value;
            top = value > top ? value : top;
        }
        claim(sum<T>(count, [=](Index k) { return x[k]; }) == total, "sum adds every term");
        claim(largest<T>(count, [=](Index k) { return x[k]; }) == top, "largest finds the maximum");
        claim(maximum<T>(count, [=](Index k) { return x[k]; }) == top, "maximum finds the maximum");
        if (count > 0) {
            const Index place = first_largest<T>(count, [=](Index k) { return x[k]; });
            bool first = x[place] == top;
            for (Index k = 0; k < place; ++k) first = first && x[k] < top;
            claim(first, "first_largest is the first place of the maximum");
        }
    }
    const T nan = std::numeric_limits<T>::quiet_NaN();
    const T values[] = {T(1), nan, T(3), T(2)};
    claim(std::isnan(maximum<T>(4, [&](Index k) { return values[k]; })), "maximum propagates NaN");
    claim(largest<T>(4, [&](Index k) { return values[k]; }) == 3, "largest skips NaN");
    const T huge = std::numeric_limits<T>::max() / 2;
    claim(mean<T>(100, [=](Index) { return huge; }) == double(huge), "the mean of equal terms is exact");
}

template <class T>
void products() {
    const struct {
        Index M, N, depth;
    } sizes[] = {{1, 1, 1}, {3, 5, 7}, {0, 4, 3}, {4, 0, 3}, {4, 3, 0}, {48, 16, 128}, {49, 257, 129}, {130, 67, 300}};
    for (const auto& size : sizes) {
        for (int flags = 0; flags < 4; ++flags) {
            const bool transA = (flags & 1) != 0, transB = (flags & 2) != 0;
            const Index padding = 3;
            const Index A_rows = transA ? size.depth : size.M, A_cols = transA ? size.M : size.depth;
            const Index B_rows = transB ? size.N : size.depth, B_cols = transB ? size.depth : size.N;
            const std::vector<T> a = numbers<T>(A_rows * (A_cols + padding), 1), b = numbers<T>(B_rows * (B_cols + padding), 2);
            const Matrix<const T> A(a.data(), A_rows, A_cols, A_cols + padding), B(b.data(), B_rows, B_cols, B_cols + padding);
            for (T beta : {T(0), T(1), T(-2)}) {
                const T unread = std::numeric_limits<T>::quiet_NaN();
                std::vector<T> start = numbers<T>(size.M * (size.N + padding), 4);
                if (beta == T(0)) start.assign(start.size(), unread);
                std::vector<T> c = start;
                const Matrix<T> C(c.data(), size.M, size.N, size.N + padding);
                gemm<T>(transA, transB, T(2), A, B, beta, C);
                bool same = true;
                for (Index i = 0; i < size.M; ++i) {
                    for (Index j = 0; j < size.N + padding; ++j) {
                        const std::size_t place = at(i * (size.N + padding) + j);
                        if (j >= size.N) {
                            same = same && (c[place] == start[place] || beta == T(0));
                            continue;
                        }
                        T expected = beta == T(0) ? T(0) : beta * start[place];
                        for (Index d = 0; d < size.depth; ++d) {
                            expected += T(2) * (transA ? A(d, i) : A(i, d)) * (transB ? B(j, d) : B(d, j));
                        }
                        same = same && c[place] == expected;
                    }
                }
                claim(same, "gemm equals the definition of the product");
            }
        }
    }
}

int calls = 0;

template <class T>
void counting_gemm(const char* transa, const char* transb, const int* m, const int* n, const int* k, const T* alpha,
                   const T* a, const int* lda, const T* b, const int* ldb, const T* beta, T* c, const int* ldc) {
    ++calls;
    for (int i = 0; i < *m; ++i) {
        for (int j = 0; j < *n; ++j) {
            T total = 0;
            for (int d = 0; d < *k; ++d) {
                total += (*transa == 'N' ? a[i + d * *lda] : a[d + i * *lda]) * (*transb == 'N' ? b[d + j * *ldb] : b[j + d * *ldb]);
            }
            T& entry = c[i + j * *ldc];
            entry = *alpha * total + (*beta == T(0) ? T(0) : *beta * entry);
        }
    }
}

void replaceable_blas() {
    set_threads(1);
    set_blas(counting_gemm<float>, counting_gemm<double>, "a test");
    products<float>();
    products<double>();
    claim(calls > 0, "a registered BLAS is called");
    set_blas(nullptr, nullptr);
    claim(std::string_view(blas_name()) == "own loops", "null pointers restore the own loops");
}

template <class T>
void limits() {
    const T infinite = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
    claim(math::exp(-infinite) == 0 && math::exp(infinite) == infinite, "exp has its limits");
    claim(math::exp_nonpositive(-infinite) == 0 && math::exp_nonpositive(T(0)) == 1, "exp_nonpositive has its limits");
    claim(math::log(T(0)) == -infinite && math::log(infinite) == infinite && std::isnan(math::log(T(-1))), "log has its limits");
    claim(math::tanh(-infinite) == -1 && math::tanh(infinite) == 1, "tanh has its limits");
    claim(math::erf(-infinite) == -1 && math::erf(infinite) == 1, "erf has its limits");
    claim(math::erfc(-infinite) == 2 && math::erfc(infinite) == 0, "erfc has its limits");
    claim(math::sigmoid(-infinite) == 0 && math::sigmoid(infinite) == 1, "sigmoid has its limits");
    claim(math::softplus(-infinite) == 0 && math::softplus(infinite) == infinite, "softplus has its limits");
    claim(math::normal_cdf(-infinite) == 0 && math::normal_cdf(infinite) == 1, "normal_cdf has its limits");
    claim(math::normal_pdf(-infinite) == 0 && math::normal_pdf(infinite) == 0, "normal_pdf has its limits");
    claim(math::expm1(-infinite) == -1 && math::log1p(T(-1)) == -infinite, "expm1 and log1p have their limits");
    claim(std::signbit(math::tanh(T(-0.0))) && std::signbit(math::erf(T(-0.0))) && std::signbit(math::log1p(T(-0.0))) &&
              std::signbit(math::expm1(T(-0.0))), "odd functions keep the sign of zero");
    for (T (*f)(T) : {+[](T x) { return math::exp(x); }, +[](T x) { return math::exp_nonpositive(x); },
                      +[](T x) { return math::log(x); }, +[](T x) { return math::tanh(x); },
                      +[](T x) { return math::erf(x); }, +[](T x) { return math::erfc(x); },
                      +[](T x) { return math::sigmoid(x); }, +[](T x) { return math::softplus(x); },
                      +[](T x) { return math::normal_cdf(x); }, +[](T x) { return math::normal_pdf(x); },
                      +[](T x) { return math::times_normal_cdf(x); }, +[](T x) { return math::times_normal_pdf(x); },
                      +[](T x) { return math::at_least(x, T(-1)); }, +[](T x) { return math::at_most(x, T(1)); },
                      +[](T x) { return math::expm1(x); }, +[](T x) { return math::log1p(x); },
                      +[](T x) { return math::sign(x); }, +[](T x) { return math::step(x); },
                      +[](T x) { return math::maximum(x, T(1)); }, +[](T x) { return math::minimum(T(1), x); }}) {
        claim(std::isnan(f(nan)), "NaN gives NaN");
    }
    claim(math::sign(T(-3)) == -1 && math::sign(T(0)) == 0 && math::step(T(0)) == 0 && math::step(T(2)) == 1, "sign and step");
    claim(math::times_normal_cdf(-infinite) == 0 && math::times_normal_cdf(infinite) == infinite &&
              math::times_normal_pdf(infinite) == 0 && math::times_normal_pdf(-infinite) == 0,
          "products with the normal distribution have their limits");
    claim(std::isnan(math::log(T(-1))) && math::log(T(-0.0)) == -infinite && math::log(infinite) == infinite,
          "the logarithm of negative numbers is NaN, of both zeros -inf");
    claim(math::target_product(T(0), infinite) == 0, "a zero target does not count");
    claim(math::power<5>(T(2)) == 32 && math::power<0>(nan) == 1, "powers are products");
    claim(std::abs(math::difference(T(1e7), 1e7 + 0.3) + T(0.3)) < T(1e-6), "a difference keeps the digits of a large mean");
}

}  // namespace

int main() {
    views();
    parallel_loops();
    walks();
    for (int count : {1, 3}) {
        set_threads(count);
        products<float>();
        products<double>();
    }
    replaceable_blas();
    reductions<float>();
    reductions<double>();
    limits<float>();
    limits<double>();
#if defined(__unix__)
    fork_after_a_parallel_loop();
#endif
    std::puts(failures == 0 ? "every claim holds" : "some claims do not hold");
    return failures == 0 ? 0 : 1;
}
