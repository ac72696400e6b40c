import Logging

/// How a canary is sent.
public struct CanaryConfiguration: Sendable, Hashable {
    /// The user of its runs.
    public static let owner = "mlmirror"
    static let tagPrefix = "mlmirror-canary"
    /// Its experiment on the primary, made when it is not there.
    public var experiment = "mlmirror-canary"
    /// Seconds between two beats, and the longest that one may take.
    public var seconds: Double
    public init(seconds: Double) { self.seconds = seconds }
}

/// A run of the mirror's own on the primary, changed now and then: it shows that a change goes the whole way, where an idle primary shows
/// nothing. The one thing that is ever written to a primary, and only when that was asked for.
struct Canary<Secondary: WritableStore>: Sendable {
    let primary: any WritableStore
    let secondary: Secondary
    let state: ReplicationState
    let configuration: CanaryConfiguration
    /// Whose it is: two mirrors of one primary have one each.
    let name: String
    /// A run that started before is out of scope; milliseconds since 1970.
    let since: Int64?
    let clock: any ReplicationClock
    let logger: Logger
    let desk: LiveDesk

    // What begins with "mlmirror." is a stamp, and not copied.
    static var runKey: String { "mlmirror-canary" }
    static var beatKey: String { "mlmirror-canary.beat" }

    /// Runs until it is cancelled.
    func run() async throws {
        while true {
            // What is held on purpose is not missing.
            while desk.pause == .everything { try await clock.sleep(seconds: 1) }
            let start = clock.monotonicSeconds
            do {
                try await beat(String(clock.nowMilliseconds), until: start + configuration.seconds)
                if desk.canary?.missingSince != nil { logger.event(.canaryBack) }
                desk.set(canary: CanaryReport(lastArrivedAt: clock.nowMilliseconds, seconds: clock.monotonicSeconds - start))
            } catch let error as StoreError {
                miss("\(error)")
            } catch is Missing {
                miss("not on the secondary after \(Int(configuration.seconds)) s")
            }
            try await clock.sleep(seconds: max(1, start + configuration.seconds - clock.monotonicSeconds))
        }
    }

    private struct Missing: Error {}

    private func miss(_ why: String) {
        var report = desk.canary ?? CanaryReport()
        if report.missingSince == nil {
            report.missingSince = clock.nowMilliseconds
            logger.event(.canaryMissing, ["detail": "\(why)"])
        }
        report.why = why
        desk.set(canary: report)
    }

    private func beat(_ text: String, until end: Double) async throws {
        let id = try await ownRun()
        try await primary.logBatch(RunBatch(tags: [Tag(Self.beatKey, text)]), toRun: id)
        var pause = 0.1
        while true {
            if let there = try state.secondaryID(.run, id.rawValue),
                try await secondary.run(RunID(there))?.tags.contains(Tag(Self.beatKey, text)) == true
            {
                return
            }
            guard clock.monotonicSeconds < end else { throw Missing() }
            try await clock.sleep(seconds: pause)
            pause = min(pause * 2, 5)
        }
    }

    private func ownRun() async throws -> RunID {
        let experiment = try await ownExperiment()
        var query = RunQuery(experiments: [experiment], startedFrom: since, tag: Tag(Self.runKey, name), pageSize: 10)
        query.isActive = true
        if let run = try await primary.runs(query, nil).elements.first { return run.id }
        let new = NewRun(
            experiment: experiment, name: "canary", userID: CanaryConfiguration.owner, startTime: clock.nowMilliseconds,
            tags: [Tag(Self.runKey, name)])
        return try await primary.createRun(new).id
    }

    private func ownExperiment() async throws -> ExperimentID {
        guard let there = try await primary.experiment(named: configuration.experiment) else {
            return try await primary.createExperiment(name: configuration.experiment, tags: [])
        }
        guard there.lifecycle == .active else {
            throw StoreError(
                .setAside, .invalid, "experiment \(configuration.experiment) of the canary is deleted on \(primary.name); restore it")
        }
        return there.id
    }
}

/// What became of the last beats.
public struct CanaryReport: Sendable, Hashable, Codable {
    /// Milliseconds since 1970.
    public var lastArrivedAt: Int64?
    /// How long that took from the write on the primary to the sight on the secondary.
    public var seconds: Double?
    /// Since then nothing has arrived: milliseconds since 1970.
    public var missingSince: Int64?
    public var why: String?
    public init(lastArrivedAt: Int64? = nil, seconds: Double? = nil, missingSince: Int64? = nil, why: String? = nil) {
        self.lastArrivedAt = lastArrivedAt
        self.seconds = seconds
        self.missingSince = missingSince
        self.why = why
    }
}
