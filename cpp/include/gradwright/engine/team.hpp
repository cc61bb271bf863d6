// A few threads that run one function together and wait for each other at barriers.
//
// Between two calls the threads spin for a moment, so that the steps of an epoch follow each other
// without a system call, and then sleep. A forked child has no threads but its own and works alone.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "gradwright/parallel.hpp"

namespace gradwright::engine {

namespace detail {

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

/// Wait until ready(): first by looking, then by giving way to other threads.
template <class Ready>
void wait_until(Ready ready, int looks) {
    for (int i = 0; !ready(); ++i) {
        if (i < looks) {
            pause();
        } else {
            std::this_thread::yield();
        }
    }
}

}  // namespace detail

class Team;

/// A thread's place in its team.
class Member {
public:
    Member(Team& team, int index, int count) : index(index), count(count), team_(team) {}

    const int index, count;

    /// Wait for all members.
    void barrier() const;

    /// This member's share first, ..., last - 1 of `items`, in whole multiples of `grain`.
    struct Share {
        Index first, last;
    };
    Share share(Index items, Index grain) const {
        const Index grains = (items + grain - 1) / grain;
        return {std::min(items, grains * index / count * grain), std::min(items, grains * (index + 1) / count * grain)};
    }

private:
    Team& team_;
};

class Team {
public:
    explicit Team(int threads) : size_(std::max(threads, 1)) {
        const unsigned cores = std::thread::hardware_concurrency();
        looks_ = cores != 0 && static_cast<unsigned>(size_) > cores ? 1 : 4000;
    }
    Team(const Team&) = delete;
    Team& operator=(const Team&) = delete;

    ~Team() {
        if (workers_ == nullptr) return;
        if (works_alone()) {  // the threads stayed behind in the parent process
            static_cast<void>(workers_.release());
            return;
        }
        {
            const std::lock_guard<std::mutex> lock(workers_->mutex);
            workers_->stop = true;
            workers_->call.fetch_add(1);
        }
        workers_->wake.notify_all();
        for (std::thread& thread : workers_->threads) thread.join();
    }

    /// How many members a call has.
    int size() const { return works_alone() ? 1 : size_; }

    /// Call body(member) on every member, on `count` of them at most, and wait for all.
    template <class Body>
    void run(int count, Body&& body) {
        count = std::clamp(count, 1, size());
        if (count == 1) {
            const gradwright::detail::SerialScope serial;
            body(Member(*this, 0, 1));
            return;
        }
        if (workers_ == nullptr) {
            start();
            count = std::min(count, size_);
        }
        Workers& workers = *workers_;
        using Function = std::remove_reference_t<Body>;
        workers.body = &body;
        workers.invoke = [](void* function, const Member& member) { (*static_cast<Function*>(function))(member); };
        workers.count = count;
        workers.running.store(size_ - 1, std::memory_order_relaxed);
        workers.call.fetch_add(1);
        if (workers.asleep.load() > 0) {
            { const std::lock_guard<std::mutex> lock(workers.mutex); }
            workers.wake.notify_all();
        }
        {
            const gradwright::detail::SerialScope serial;
            body(Member(*this, 0, count));
        }
        detail::wait_until([&] { return workers.running.load(std::memory_order_acquire) == 0; }, looks_);
    }

private:
    friend class Member;

    struct Workers {
        std::vector<std::thread> threads;
        std::mutex mutex;
        std::condition_variable wake;
        bool stop = false;
        void* body = nullptr;
        void (*invoke)(void*, const Member&) = nullptr;
        int count = 1;
        alignas(64) std::atomic<long> call{0};
        std::atomic<int> asleep{0};
        alignas(64) std::atomic<int> running{0};
        alignas(64) std::atomic<int> arrived{0};
        std::atomic<long> phase{0};
    };

    static bool works_alone() { return gradwright::detail::forked; }

    /// Where the system gives fewer threads, the team is smaller.
    void start() {
        workers_ = std::make_unique<Workers>();
        try {
            for (int i = 1; i < size_; ++i) workers_->threads.emplace_back([this, i] { work(i); });
        } catch (const std::system_error&) {
            size_ = static_cast<int>(workers_->threads.size()) + 1;
        }
    }

    void work(int index) {
        const gradwright::detail::SerialScope serial;
        Workers& workers = *workers_;
        for (long seen = 0;; ++seen) {
            const auto called = [&] { return workers.call.load() != seen; };
            for (int i = 0; i < 20 * looks_ && !called(); ++i) detail::pause();
            if (!called()) {
                std::unique_lock<std::mutex> lock(workers.mutex);
                workers.asleep.fetch_add(1);
                workers.wake.wait(lock, called);
                workers.asleep.fetch_sub(1);
            }
            if (workers.stop) return;
            if (index < workers.count) workers.invoke(workers.body, Member(*this, index, workers.count));
            workers.running.fetch_sub(1, std::memory_order_release);
        }
    }

    void wait_for_all(int count) {
        Workers& workers = *workers_;
        const long phase = workers.phase.load(std::memory_order_relaxed);
        if (workers.arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == count) {
            workers.arrived.store(0, std::memory_order_relaxed);
            workers.phase.store(phase + 1, std::memory_order_release);
            return;
        }
        detail::wait_until([&] { return workers.phase.load(std::memory_order_acquire) != phase; }, looks_);
    }

    int size_;
    int looks_ = 4000;
    std::unique_ptr<Workers> workers_;
};

inline void Member::barrier() const {
    if (count > 1) team_.wait_for_all(count);
}

}  // namespace gradwright::engine
