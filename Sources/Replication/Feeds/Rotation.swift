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

/// Runs that are known to be under way, and when each was seen last. Those that have ended stay for a while: points of theirs may come late.
struct ActiveRuns: Sendable {
    private struct Sight {
        var at: Double
        /// Until when it stays, once it has ended.
        var until: Double?
    }
    private var sights: [RunID: Sight] = [:]
    /// Seconds between two looks at one that has ended.
    private static let restAfterEnd = 60.0
    /// More than a store has running at once; the sweep has the others.
    private static let most = 50_000

    /// - Parameter keptFor: seconds after its end was seen.
    mutating func note(_ runs: some Sequence<Run>, at now: Double, keptFor: Double) {
        for run in runs {
            let known = sights[run.id]
            let hasEnded = run.status.isTerminal
            let until = hasEnded ? known?.until ?? now + keptFor : nil
            if run.lifecycle == .deleted || until.map({ $0 <= now }) ?? false || hasEnded && known == nil {
                sights[run.id] = nil
            } else if known != nil || sights.count < Self.most {
                sights[run.id] = Sight(at: now, until: until)
            }
        }
    }

    mutating func forget(_ id: RunID) { sights[id] = nil }

    /// Those that were seen longest ago come first.
    func unseen(since moment: Double) -> [RunID] {
        sights.filter { $0.value.at + ($0.value.until == nil ? 0 : Self.restAfterEnd) < moment }
            .sorted { ($0.value.at, $0.key) < ($1.value.at, $1.key) }.map(\.key)
    }
}
