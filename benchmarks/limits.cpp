// What this machine can do at most, measured: multiply-adds a second, and bytes a second that are read from
// every level of memory.
//
//     c++ -std=c++17 -O3 -march=native -pthread limits.cpp -o limits && ./limits SECONDS L1 L2 L3 CPU...
//
// L1, L2, L3: sizes in bytes of one core's caches and of the shared one. Prints one JSON object.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

namespace {

#if defined(__AVX512F__)
constexpr int lanes = 16, registers = 24;
#elif defined(__AVX__)
constexpr int lanes = 8, registers = 12;
#else
constexpr int lanes = 4, registers = 12;
#endif
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 24")
#endif
typedef float Vector __attribute__((vector_size(lanes * sizeof(float)), may_alias));

struct Aligned {
    Vector values;
};

volatile float sink;

template <int count>
void keep(const Vector (&values)[count]) {
    Vector sum = values[0];
    UNROLL
    for (int i = 1; i < count; ++i) sum += values[i];
    float total = 0;
    for (int lane = 0; lane < lanes; ++lane) total += sum[lane];
    sink = total;
}

/// Multiply-adds in registers: how many floating-point operations.
double multiply_add(long repeats) {
    Vector sum[registers], factor = Vector{} + 0.999F + sink * 0, term = Vector{} + 0.001F;
    UNROLL
    for (int i = 0; i < registers; ++i) sum[i] = Vector{} + 0.01F * static_cast<float>(i);
    for (long k = 0; k < repeats; ++k) {
        UNROLL
        for (int i = 0; i < registers; ++i) sum[i] = sum[i] * factor + term;
    }
    keep(sum);
    return 2.0 * lanes * registers * static_cast<double>(repeats);
}

/// Multiply-adds with one operand from the first cache, as in a sparse product.
double multiply_add_load(const Vector* data, long repeats) {
    Vector sum[registers] = {}, factor = Vector{} + 0.999F + sink * 0;
    for (long k = 0; k < repeats; ++k) {
        const Vector* block = data + k % 4 * registers;
        UNROLL
        for (int i = 0; i < registers; ++i) sum[i] += factor * block[i];
    }
    keep(sum);
    return 2.0 * lanes * registers * static_cast<double>(repeats);
}

/// Read `count` vectors again and again: how many bytes.
double read(const Vector* data, long count, long repeats) {
    constexpr int unroll = 8;
    Vector sum[unroll] = {};
    for (long k = 0; k < repeats; ++k) {
        for (long i = 0; i + unroll <= count; i += unroll) {
            UNROLL
            for (int u = 0; u < unroll; ++u) sum[u] += data[i + u];
        }
        asm volatile("" ::: "memory");
    }
    keep(sum);
    return static_cast<double>(sizeof(Vector)) * static_cast<double>(count / unroll * unroll) *
           static_cast<double>(repeats);
}

void pin(int cpu) {
#if defined(__linux__)
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
#else
    static_cast<void>(cpu);
#endif
}

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

using Work = std::function<double(int thread, long repeats)>;

/// What all threads do together in a second, the best of several rounds of about so many seconds.
double rate(const std::vector<int>& cpus, double seconds, const Work& work) {
    const int threads = static_cast<int>(cpus.size());
    const auto once = [&](long repeats) {
        std::vector<double> amount(cpus.size()), taken(cpus.size());
        std::atomic<int> ready{0};
        std::vector<std::thread> team;
        for (int t = 0; t < threads; ++t) {
            team.emplace_back([&, t] {
                const auto at = static_cast<std::size_t>(t);
                pin(cpus[at]);
                ready.fetch_add(1);
                while (ready.load() < threads) {}
                const double start = now();
                amount[at] = work(t, repeats);
                taken[at] = now() - start;
            });
        }
        double total = 0;
        for (int t = 0; t < threads; ++t) {
            team[static_cast<std::size_t>(t)].join();
            total += amount[static_cast<std::size_t>(t)] / taken[static_cast<std::size_t>(t)];
        }
        return std::pair(total, *std::max_element(taken.begin(), taken.end()));
    };
    long repeats = 1;
    while (once(repeats).second < seconds / 4 && repeats < 1L << 40) repeats *= 2;
    repeats *= 2;
    double best = 0;
    for (int round = 0; round < 7; ++round) best = std::max(best, once(repeats).first);
    return best;
}

}  // namespace

int main(int count, char** given) {
    if (count < 6) return 2;
    const double seconds = std::atof(given[1]);
    const double first = std::atof(given[2]), second = std::atof(given[3]), third = std::atof(given[4]);
    std::vector<int> cpus;
    for (int i = 5; i < count; ++i) cpus.push_back(std::atoi(given[i]));
    const double threads = static_cast<double>(cpus.size());
    const struct {
        const char* name;
        double bytes;  // of a thread
    } levels[] = {{"L1", first / 2},
                  {"L2", second / 2},
                  {"L3", std::max(std::min(4 * second, third / 2 / threads), 2 * second)},
                  {"DRAM", std::min(4 * third, 512e6) / threads}};

    const double most = std::max(levels[3].bytes, levels[2].bytes);
    const auto vectors = static_cast<std::size_t>(most) / sizeof(Vector) + 4 * registers;
    std::vector<std::vector<Aligned>> data(cpus.size(), std::vector<Aligned>(vectors, Aligned{Vector{} + 0.001F}));
    const auto of = [&](int thread) { return &data[static_cast<std::size_t>(thread)].front().values; };

    std::printf("{\"threads\": %zu, \"vector bytes\": %zu", cpus.size(), sizeof(Vector));
    std::printf(", \"multiply-add\": %.4g", rate(cpus, seconds, [](int, long n) { return multiply_add(1000 * n); }));
    std::printf(", \"multiply-add, load\": %.4g",
                rate(cpus, seconds, [&](int t, long n) { return multiply_add_load(of(t), 1000 * n); }));
    for (const auto& level : levels) {
        const auto length = static_cast<long>(level.bytes / sizeof(Vector));
        std::printf(", \"%s\": %.4g", level.name,
                    rate(cpus, seconds, [&](int t, long n) { return read(of(t), length, n); }));
    }
    std::printf("}\n");
}
