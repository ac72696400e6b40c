/// The one place where workers note what they did. Cheap: a lock and an addition.
public final class ProgressBoard: Sendable {
    private struct State {
        var snapshot = ProgressSnapshot()
        var beats: UInt64 = 0
    }
    private let state = Locked(State())
    public init() {}
    public func update(_ change: (inout ProgressSnapshot) -> Void) { state.withLock { change(&$0.snapshot) } }
    public func count(_ change: (inout Counts) -> Void) {
        state.withLock { state in
            change(&state.snapshot.counts)
            state.beats &+= 1
        }
    }
    public var snapshot: ProgressSnapshot { state.withLock { $0.snapshot } }

    /// Something has gone on that is not counted yet: bytes of a file, points of a long history.
    func beat() { state.withLock { $0.beats &+= 1 } }
    /// Differs from what it was when work has gone on since.
    var beats: UInt64 { state.withLock { $0.beats } }
}
