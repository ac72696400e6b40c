/// How the daemon follows a primary. All times are in seconds.
public struct LiveConfiguration: Sendable, Hashable {
    public var mirror = MirrorConfiguration()
    /// Between two looks at the files of an active run; grows to `longestFilePause` while nothing is found.
    public var filePause = 10.0
    public var longestFilePause = 600.0
    /// How long files are looked for after their run has ended.
    public var fileGrace = 600.0
    /// Requests a second, of each class, for going over the files of everything that was copied; 0: nobody does.
    public var fileSweepPerSecond = 2.0
    /// From one beginning of that to the next, at least.
    public var fileSweepPause = 3600.0
    /// The feed is asked at least this often, so that its silence is known to be true.
    public var feedPause = 5.0
    /// Between two notes of how things stand.
    public var reportPause = 5.0
    /// Between two looks at what other processes ask.
    public var requestPause = 0.5
    /// Nil: none is sent.
    public var canary: CanaryConfiguration?
    public init() {}
}
