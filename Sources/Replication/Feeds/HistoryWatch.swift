/// Points that come late, among earlier ones, show in no record of a run: the histories of runs that are, or were lately, active are compared
/// whole from time to time. Less and less often while the record stays as it is.
struct HistoryWatch: Sendable {
    private struct Turn {
        var next: Double
        var pause: Double
        var seenAt: Double
    }
    private var turns: [RunID: Turn] = [:]
    /// Seconds.
    private static let shortest = 20.0
    private static let longestUnseen = 3600.0
    private let longest: Double
    /// Most runs of one cycle: each costs a request for each of its histories.
    private static let most = 20

    /// - Parameter longest: seconds that the pause between two comparisons of one run grows to.
    init(longest: Double) { self.longest = max(longest, Self.shortest) }

    /// The runs of one cycle whose turn it is.
    ///
    /// - Parameters:
    ///   - runs: all that the cycle has seen.
    ///   - changed: those of them that are reported anyway.
    mutating func due(_ runs: [Run], changed: Set<RunID>, now: Double) -> [RunID] {
        var due: [RunID] = []
        for run in runs where !run.latestMetrics.isEmpty {
            if run.lifecycle == .deleted {
                // It takes none now; before it was deleted it may have, while nobody looked.
                if turns[run.id] == nil, !changed.contains(run.id) {
                    guard due.count < Self.most else { continue }
                    due.append(run.id)
                }
                turns[run.id] = Turn(next: .infinity, pause: Self.shortest, seenAt: now)
                continue
            }
            var turn = turns[run.id] ?? Turn(next: now + Self.shortest, pause: Self.shortest, seenAt: now)
            turn.seenAt = now
            // It was deleted when it was seen last.
            if turn.next == .infinity { turn.next = now + Self.shortest }
            if changed.contains(run.id) {
                turn.pause = Self.shortest
                turn.next = min(turn.next, now + turn.pause)
            }
            if turn.next <= now, due.count < Self.most {
                due.append(run.id)
                turn.next = now + turn.pause
                turn.pause = min(turn.pause * 1.25, longest)
            }
            turns[run.id] = turn
        }
        // A cycle need not see all that are under way.
        turns = turns.filter { now - $0.value.seenAt < Self.longestUnseen }
        return due
    }
}
