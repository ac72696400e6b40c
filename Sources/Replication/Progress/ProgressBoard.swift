/// The one place where workers note what they did. Cheap: a lock and an addition.
public final class ProgressBoard: Sendable {
    private let state = Locked(ProgressSnapshot())
    public init() {}
    public func update(_ change: (inout ProgressSnapshot) -> Void) { state.withLock { change(&$0) } }
    public func count(_ change: (inout Counts) -> Void) { state.withLock { change(&$0.counts) } }
    public var snapshot: ProgressSnapshot { state.withLock { $0 } }
}
