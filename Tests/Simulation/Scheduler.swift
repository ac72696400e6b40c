import Glibc
import TestSupport

public import Replication

/// Every task of a simulation, and its time, on one thread: which task goes on next is drawn from a seed, so the same seed gives the same
/// interleaving.
///
/// `@unchecked Sendable`: it is only touched by the thread that calls `run`, on which all its jobs run too.
public final class Scheduler: TaskExecutor, @unchecked Sendable {
    public struct Stuck: Error, CustomStringConvertible {
        public var description: String
    }

    private struct Timer {
        var due: Int64
        var number: UInt64
        var continuation: CheckedContinuation<Void, any Error>
    }
    public var chance: Chance
    private var ready: [UnownedJob] = []
    private var timers: [UInt64: Timer] = [:]
    private var cancelled: Set<UInt64> = []
    private var nextTimer: UInt64 = 0
    private var milliseconds: Int64
    public private(set) var steps = 0
    /// Of every choice that was made: two runs with the same trace were the same.
    public private(set) var trace: UInt64 = 0xcbf2_9ce4_8422_2325

    /// - Parameter milliseconds: where its time begins.
    public init(seed: UInt64, at milliseconds: Int64 = 0) {
        chance = Chance(seed: seed)
        self.milliseconds = milliseconds
    }

    public var now: Int64 { milliseconds }

    public func enqueue(_ job: consuming ExecutorJob) { add(UnownedJob(job)) }
    func add(_ job: UnownedJob) { ready.append(job) }

    /// Runs a body and everything that it starts, to the end.
    ///
    /// - Throws: `Stuck` when nothing can go on, or nothing ends.
    public func run(steps limit: Int = 400_000, _ body: @escaping @Sendable () async -> Void) throws {
        GlobalJobs.adopt(self)
        defer { GlobalJobs.release() }
        let isDone = Locked(false)
        _ = Task<Void, Never>.detached(executorPreference: self) {
            await body()
            isDone.withLock { $0 = true }
        }
        while true {
            if ready.isEmpty {
                if isDone.withLock({ $0 }) { return }
                guard fireEarliest() else { throw Stuck(description: "every task waits for another, after \(steps) steps") }
                continue
            }
            steps += 1
            guard steps < limit else { throw Stuck(description: "no end after \(limit) steps, at \(milliseconds) ms") }
            let at = ready.count == 1 ? 0 : chance.below(ready.count)
            trace = (trace ^ UInt64(at &+ ready.count &* 31)) &* 0x100_0000_01b3
            let job = ready[at]
            ready.swapAt(at, ready.count - 1)
            ready.removeLast()
            job.runSynchronously(on: asUnownedTaskExecutor())
        }
    }

    /// Everything that is due at the earliest moment becomes ready at once.
    private func fireEarliest() -> Bool {
        guard let due = timers.values.map(\.due).min() else { return false }
        milliseconds = max(milliseconds, due)
        for timer in timers.values.filter({ $0.due == due }).sorted(by: { $0.number < $1.number }) {
            timers[timer.number] = nil
            timer.continuation.resume()
        }
        return true
    }

    public func sleep(milliseconds pause: Int64) async throws {
        nextTimer += 1
        let number = nextTimer
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                if Task.isCancelled || cancelled.remove(number) != nil { return continuation.resume(throwing: CancellationError()) }
                timers[number] = Timer(due: milliseconds + max(0, pause), number: number, continuation: continuation)
            }
        } onCancel: {
            if let timer = timers.removeValue(forKey: number) {
                timer.continuation.resume(throwing: CancellationError())
            } else {
                cancelled.insert(number)
            }
        }
        cancelled.remove(number)
    }
}

/// The scheduler's time, as the domain sees it.
public struct SimulatedClock: ReplicationClock {
    let scheduler: Scheduler
    /// Milliseconds: what the wall's clock is off by.
    let skew: Locked<Int64>
    public init(_ scheduler: Scheduler) {
        self.scheduler = scheduler
        skew = Locked(0)
    }
    public var nowMilliseconds: Int64 { 1_800_000_000_000 + scheduler.now + skew.withLock { $0 } }
    public var monotonicSeconds: Double { Double(scheduler.now) / 1000 }
    public func sleep(seconds: Double) async throws { try await scheduler.sleep(milliseconds: Int64(seconds * 1000)) }
}

/// Jobs of tasks that have no preferred executor (`Task {}`) go to the simulation whose thread makes them.
///
/// By `swift_task_enqueueGlobal_hook`, the runtime's own and undocumented door (present in Swift 6.1 to 6.3): without it those tasks would run
/// on the global pool, and two runs of one seed would differ.
enum GlobalJobs {
    private typealias Original = @convention(thin) (UnownedJob) -> Void
    private typealias Hook = @convention(thin) (UnownedJob, Original) -> Void

    private static let key: pthread_key_t = {
        var key = pthread_key_t()
        pthread_key_create(&key, nil)
        return key
    }()

    private static let isHooked: Bool = {
        guard let symbol = dlsym(nil, "swift_task_enqueueGlobal_hook") else { return false }
        let hook: Hook = { job, original in
            if let scheduler = pthread_getspecific(GlobalJobs.key) {
                Unmanaged<Scheduler>.fromOpaque(scheduler).takeUnretainedValue().add(job)
            } else {
                original(job)
            }
        }
        symbol.assumingMemoryBound(to: UnsafeRawPointer?.self).pointee = unsafeBitCast(hook, to: UnsafeRawPointer?.self)
        return true
    }()

    static func adopt(_ scheduler: Scheduler) {
        precondition(isHooked, "this Swift runtime has no swift_task_enqueueGlobal_hook")
        pthread_setspecific(key, Unmanaged.passUnretained(scheduler).toOpaque())
    }
    static func release() { pthread_setspecific(key, nil) }
}

/// SplitMix64. Seeds are mixed first: those of neighbours would else give the same numbers, shifted by one.
public struct Chance: Sendable {
    private var state: UInt64
    public init(seed: UInt64) { state = Self.mix(Self.mix(seed) &+ 0x1234_5678_9abc_def1) }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        return Self.mix(state)
    }

    private static func mix(_ x: UInt64) -> UInt64 {
        var z = x
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    /// From 0 to one less than `count`.
    public mutating func below(_ count: Int) -> Int { Int(next() % UInt64(max(1, count))) }
    /// One time in `count`.
    public mutating func oneIn(_ count: Int) -> Bool { below(count) == 0 }
    public mutating func pick<Element>(_ all: [Element]) -> Element? { all.isEmpty ? nil : all[below(all.count)] }
}
