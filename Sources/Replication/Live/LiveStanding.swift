/// How a daemon stands at this moment.
public struct LiveStanding: Sendable, Hashable {
    public var report: LiveReport
    /// Done since the process began to follow.
    public var counts: Counts
    /// The feed and both stores have answered since the process began.
    public var isConnected: Bool
    /// Everything is being compared with the primary, or is about to be.
    public var isReconciling: Bool
    public var checkpoint: LSN
    public var head: LSN
    /// Changes that wait, without those that people hold back.
    public var waiting: Int
    /// Milliseconds since 1970; nil when nothing waits.
    public var oldestWaitingAt: Int64?
    /// Seconds for which work was to be done, nothing kept it from being done, and none was.
    public var secondsWithoutProgress: Double

    package init(
        report: LiveReport, counts: Counts = Counts(), isConnected: Bool, isReconciling: Bool, checkpoint: LSN, head: LSN, waiting: Int,
        oldestWaitingAt: Int64?,
        secondsWithoutProgress: Double
    ) {
        self.report = report
        self.counts = counts
        self.isConnected = isConnected
        self.isReconciling = isReconciling
        self.checkpoint = checkpoint
        self.head = head
        self.waiting = waiting
        self.oldestWaitingAt = oldestWaitingAt
        self.secondsWithoutProgress = secondsWithoutProgress
    }
}

/// What a daemon tells who runs it.
public enum LiveNews: Sendable, Hashable {
    case standing(LiveStanding)
    /// The state file cannot be written at the moment.
    case waits(String)
}

/// Tells a replicator that hangs from one that has nothing to do, or cannot do it.
struct ProgressWatch {
    private var beats: UInt64?
    private var since = 0.0

    /// - Parameters:
    ///   - hasWork: something is in flight, or could be.
    ///   - now: monotonic seconds.
    /// - Returns: seconds without progress.
    mutating func look(beats: UInt64, hasWork: Bool, at now: Double) -> Double {
        if self.beats != beats || !hasWork {
            self.beats = beats
            since = now
        }
        return now - since
    }
}
