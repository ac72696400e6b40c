/// One look at every experiment in scope. Where the time of a cycle does not do for all of them, the next one goes on.
struct Rotation: Sendable {
    /// Still to be looked at.
    private(set) var rest: ArraySlice<ExperimentID>
    let all: [ExperimentID]
    /// Milliseconds since 1970, both: when it began, and from when on a start or an end is asked for.
    let startedAt: Int64
    let since: Int64
    /// Whether what is under way, and what has ended, is searched for as well; else what is known to be under way is asked for by its id.
    let isFull: Bool
    private(set) var cycles = 0
    /// The registry was looked at since it began.
    private(set) var sawRegistry = false

    init(_ experiments: [ExperimentID], startedAt: Int64, since: Int64, isFull: Bool) {
        all = experiments
        rest = experiments[...]
        self.startedAt = startedAt
        self.since = since
        self.isFull = isFull
    }

    var isWhole: Bool { rest.isEmpty }
    /// The searches of one cycle showed everything there was.
    var tookOneCycle: Bool { cycles == 1 }

    mutating func beginCycle() { cycles += 1 }
    mutating func noteRegistry() { sawRegistry = true }

    mutating func next(atMost count: Int) -> [ExperimentID] {
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }
}

/// Runs that are known to be under way, and when each was seen last.
struct ActiveRuns: Sendable {
    private var seenAt: [RunID: Double] = [:]
    /// More than a store has running at once; the sweep has the others.
    private static let most = 50_000

    mutating func note(_ runs: some Sequence<Run>, at now: Double) {
        for run in runs {
            if run.status.isTerminal || run.lifecycle == .deleted {
                seenAt[run.id] = nil
            } else if seenAt[run.id] != nil || seenAt.count < Self.most {
                seenAt[run.id] = now
            }
        }
    }

    mutating func forget(_ id: RunID) { seenAt[id] = nil }

    /// Those that were seen longest ago come first.
    func unseen(since moment: Double) -> [RunID] {
        seenAt.filter { $0.value < moment }.sorted { ($0.value, $0.key) < ($1.value, $1.key) }.map(\.key)
    }
}
