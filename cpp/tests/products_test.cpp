// The engine's products against plain loops, for every shape of the tiles: numbers of rows, terms and samples.
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "gradwright/engine/dense.hpp"
#include "gradwright/engine/support.hpp"

namespace {

using namespace gradwright::engine;
using gradwright::Index;

int failures = 0;

template <class Real>
struct Case {
    Index K, D, samples;
    Index width = (samples + sample_grain<Real> - 1) / sample_grain<Real> * sample_grain<Real>, stride = width + 3;
    std::mt19937 random{static_cast<unsigned>(K * 10007 + D * 101 + samples)};

    std::vector<Real> values(Index count) {
        std::uniform_real_distribution<double> uniform(-1, 1);
        std::vector<Real> found(static_cast<std::size_t>(count));
        for (Real& value : found) value = Real(uniform(random));
        return found;
    }

    template <class Expected>
    void compare(const char* what, Index rows, Index cols, const Real* found, Index step, Expected expected) {
        for (Index i = 0; i < rows; ++i) {
            for (Index j = 0; j < cols; ++j) {
                if (std::fabs(double(found[i * step + j]) - expected(i, j)) <= 1e-4) continue;
                std::printf("FAILED: %s, W %ld x %ld, %ld samples: entry %ld, %ld\n", what, long(K), long(D), long(samples),
                            long(i), long(j));
                ++failures;
                return;
            }
        }
    }

    void dense() {
        const auto W = values(K * D), X = values(D * stride), DY = values(K * stride), b = values(K);
        std::vector<Real> Y(DY.size()), DX(X.size()), room(multiply_columns_room);
        multiply_rows<Real>(W.data(), D, b.data(), X.data(), Y.data(), stride, width, 0, K);
        compare("Y", K, samples, Y.data(), stride, [&](Index k, Index n) {
            double sum = double(b[k]);
            for (Index d = 0; d < D; ++d) sum += double(W[k * D + d]) * double(X[d * stride + n]);
            return sum;
        });
        multiply_columns<Real>(W.data(), K, D, DY.data(), DX.data(), stride, width, 0, D, room.data());
        compare("DX", D, samples, DX.data(), stride, [&](Index d, Index n) {
            double sum = 0;
            for (Index k = 0; k < K; ++k) sum += double(W[k * D + d]) * double(DY[k * stride + n]);
            return sum;
        });
        constexpr Index panel = panel_width<Real>;
        const Index step = panels_of<Real>(D) * panel;
        std::vector<Real> panels(step * samples), DW(K * step);
        for (Index d = 0; d < D; ++d) {
            for (Index n = 0; n < samples; ++n) panels[d / panel * panel * samples + n * panel + d % panel] = X[d * stride + n];
        }
        const Wanted<Real> wanted{{W.data()}, D};
        multiply_panels<Real>(K, samples, DY.data(), stride, panels.data(), D, DW.data(), step, wanted, 0);
        compare("DW", K, D, DW.data(), step, [&](Index k, Index d) { return product(DY, k, X, d, samples); });
    }

    /// `add`: the gradients come on top of others.
    void sparse(double density, bool add = false) {
        std::bernoulli_distribution present(density);
        std::vector<std::int32_t> start{0}, col;
        std::vector<Index> row;
        for (Index k = 0; k < K; ++k) {
            for (Index d = 0; d < D; ++d) {
                if (!present(random)) continue;
                col.push_back(static_cast<std::int32_t>(d));
                row.push_back(k);
            }
            start.push_back(static_cast<std::int32_t>(col.size()));
        }
        const Support support(K, D, start.data(), col.data(), true);
        const auto count = static_cast<Index>(col.size());
        const auto W = values(count), X = values(D * stride), DY = values(K * stride), b = values(K);
        const auto before = add ? values(count + 1) : std::vector<Real>(count + 1, Real(NAN));
        std::vector<Real> Y(DY.size()), made_Y(Y), DX(X.size()), made_DX(DX), DW(before), sampled(before);
        const Window window{0, width, stride};
        // What is said to be there is taken then.
        const auto take = [](const std::vector<Real>& from, std::vector<Real>& to) {
            return [&](Index first, Index last, Window block) {
                for (Index i = first; i < last; ++i) {
                    const Index at = i * block.stride + block.offset;
                    std::copy_n(from.data() + at, block.width, to.data() + at);
                }
            };
        };
        support.forward<Real>(W.data(), b.data(), X.data(), made_Y.data(), window, 0, K, take(made_Y, Y));
        support.backward<Real>(W.data(), X.data(), DY.data(), made_DX.data(), DW.data(), add, window, 0, D,
                               take(made_DX, DX));
        support.sampled<Real>(X.data(), DY.data(), sampled.data(), add, window, 0, K);
        std::vector<double> expected_Y(Y.size()), expected_DX(DX.size());
        for (Index k = 0; k < K; ++k) {
            for (Index n = 0; n < samples; ++n) expected_Y[k * stride + n] = double(b[k]);
        }
        for (Index i = 0; i < count; ++i) {
            for (Index n = 0; n < samples; ++n) {
                expected_Y[row[i] * stride + n] += double(W[i]) * double(X[col[i] * stride + n]);
                expected_DX[col[i] * stride + n] += double(W[i]) * double(DY[row[i] * stride + n]);
            }
        }
        compare("sparse Y", K, samples, Y.data(), stride, [&](Index k, Index n) { return expected_Y[k * stride + n]; });
        compare("sparse DX", D, samples, DX.data(), stride, [&](Index d, Index n) { return expected_DX[d * stride + n]; });
        const auto wanted = [&](Index, Index i) {
            return (add ? double(before[i]) : 0) + product(DY, row[i], X, col[i], width);  // padding counts
        };
        compare("sparse DW", 1, count, DW.data(), 0, wanted);
        compare("sampled DW", 1, count, sampled.data(), 0, wanted);
    }

    double product(const std::vector<Real>& A, Index i, const std::vector<Real>& B, Index j, Index count) const {
        double sum = 0;
        for (Index n = 0; n < count; ++n) sum += double(A[i * stride + n]) * double(B[j * stride + n]);
        return sum;
    }
};

template <class Real>
void all_shapes() {
    for (Index samples = 1; samples <= 150; samples += samples < 70 ? 1 : 13) {
        Case<Real>{samples % 29 + 1, samples % 67 + 1, samples}.dense();
        Case<Real>{60, 110, samples}.dense();
        Case<Real>{samples % 29 + 1, samples % 67 + 1, samples}.sparse(0.3);
        Case<Real>{60, 210, samples}.sparse(0.2);
    }
    for (const Index samples : {9, 100, 140}) {
        for (const double density : {0.002, 0.02, 0.2}) {
            for (const bool add : {false, true}) {
                Case<Real>{20, 1700, samples}.sparse(density, add);  // more than the second cache has room for
                Case<Real>{1700, 20, samples}.sparse(density, add);
            }
        }
    }
    Case<Real>{50, 1100, 9}.dense();  // more terms than are added at a time
    Case<Real>{1100, 50, 9}.dense();
}

}  // namespace

int main() {
    all_shapes<float>();
    all_shapes<double>();
    if (failures == 0) std::printf("all products are right\n");
    return failures == 0 ? 0 : 1;
}
