/// Where the daemon's tasks leave word for one another.
final class LiveDesk: Sendable {
    private struct State {
        var feedLastSuccessAt: Int64?
        var feedAnswers = 0
        var feedTrouble: String?
        var listingTrouble: String?
        var pause = Pause.nothing
        var isListing = false
        var isReplicating = false
        var canary: CanaryReport?
        var filesSweptSince: Int64?
    }
    private let state = Locked(State())
    /// The change log has grown, or what held the work up is over.
    let wakeup = Signal()
    /// Everything is to be compared anew.
    let reconcile = Signal()

    var feedLastSuccessAt: Int64? { state.withLock { $0.feedLastSuccessAt } }
    /// How often it has said everything that it knew.
    var feedAnswers: Int { state.withLock { $0.feedAnswers } }
    var feedTrouble: String? { state.withLock { $0.feedTrouble } }
    /// What kept the last listing of everything from its end.
    var listingTrouble: String? { state.withLock { $0.listingTrouble } }
    var pause: Pause { state.withLock { $0.pause } }
    var canary: CanaryReport? { state.withLock { $0.canary } }
    /// Everything's files have been compared since then; nil before the first whole sweep.
    var filesSweptSince: Int64? { state.withLock { $0.filesSweptSince } }
    var isListing: Bool { state.withLock { $0.isListing } }
    /// Both stores have said who they are, and what was found on the secondary is known.
    var isReplicating: Bool { state.withLock { $0.isReplicating } }

    /// - Parameter isWhole: it has nothing more to say.
    func feedAnswered(at milliseconds: Int64, isWhole: Bool) {
        state.withLock { state in
            if isWhole { state.feedAnswers += 1 }
            state.feedLastSuccessAt = milliseconds
            state.feedTrouble = nil
        }
    }
    func listed() { state.withLock { $0.listingTrouble = nil } }
    func listingFailed(_ why: String) { state.withLock { $0.listingTrouble = why } }
    func feedFailed(_ why: String) { state.withLock { $0.feedTrouble = why } }
    func set(pause: Pause) {
        state.withLock { $0.pause = pause }
        wakeup.raise()
    }
    func set(canary: CanaryReport) { state.withLock { $0.canary = canary } }
    func set(filesSweptSince time: Int64?) { state.withLock { $0.filesSweptSince = time } }
    func setReplicating() { state.withLock { $0.isReplicating = true } }
    func set(isListing: Bool) {
        state.withLock { $0.isListing = isListing }
        wakeup.raise()
    }
}
