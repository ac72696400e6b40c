import Hashing
public import Logging

/// Deletes runs on the primary, softly, once they are `azureml-only` and each is proven, point by point and byte by byte, to be on the secondary.
public struct Retirement<Primary: TrackingStore, Secondary: WritableStore>: Sendable {
    private let mirror: Mirror<Primary, Secondary>
    private let primary: any WritableStore
    private let grace: Int64
    private let isDryRun: Bool

    /// What became of one run.
    public enum Fate: Sendable, Hashable {
        case retired
        /// The secondary does not have all of it: nothing of it is deleted.
        case refused(why: [String])
    }

    public struct Summary: Sendable, Hashable {
        /// With `isDryRun`: would be.
        public var retired = 0
        public var refused = 0
        /// What it is too early for, or too late: label to count.
        public var leftOut: [String: Int] = [:]
        /// Runs and experiments of `leftOut` that could not be read.
        public var unread = 0
    }

    /// - Parameter grace: milliseconds after its end for which a run may still be given files.
    /// - Throws: `MirrorError` where nothing is switched, or files are not mirrored; `StoreError`, `StateError`.
    public init(
        primary: Primary, secondary: Secondary, state: ReplicationState, configuration: MirrorConfiguration, grace: Int64, isDryRun: Bool,
        board: ProgressBoard = ProgressBoard(), clock: any ReplicationClock, logger: Logger
    ) async throws {
        guard configuration.scope.artifacts else {
            throw MirrorError(.configuration, "scope.artifacts is false: files are on the primary alone; nothing can be retired there")
        }
        guard configuration.scope.passage.isWhole else {
            throw MirrorError(
                .configuration,
                "scope.leave_out and scope.mask: what is left out or masked is on the primary alone; nothing can be retired there")
        }
        guard let writable = primary as? any WritableStore else {
            throw MirrorError(.configuration, "\(primary.name): runs of such a store cannot be deleted from here")
        }
        let pair = try await Pair.identify(primary, secondary, name: configuration.pair)
        try state.expectBound(to: pair)
        mirror = Mirror(
            primary: primary, secondary: secondary, state: state, configuration: configuration,
            stamp: Stamp(pair: pair.name, store: pair.primary), board: board, clock: clock, logger: logger)
        try mirror.obeyModes()
        guard try state.modes.switches.contains(where: { $0.step == .sealed }) else {
            throw MirrorError(
                .configuration, "nothing is azureml-only yet; `mlmirror mode azureml-only` switches, and nothing is retired before")
        }
        self.primary = writable
        self.grace = grace
        self.isDryRun = isDryRun
    }

    public func run(_ report: @escaping @Sendable (RunID, Fate) -> Void) async throws -> Summary {
        var summary = Summary()
        mirror.board.update { $0.phase = "runs" }
        let ledger = try mirror.state.modes
        var experiments: [ExperimentID] = []
        try await mirror.retrying.pages({ try await mirror.primary.experiments($0) }) { page in
            experiments += page.elements.filter {
                mirror.configuration.scope.contains($0) && $0.lifecycle == .active
                    && ledger.isSealed($0.name)
            }.map(\.id)
        }
        let scope = mirror.configuration.scope
        try await mirror.primary.inGroups(experiments, atMost: 50) { group in
            let query = RunQuery(experiments: group, startedFrom: scope.since, startedBefore: scope.until, pageSize: 250)
            var pages = RunPages(mirror.primary, query, mirror.retrying)
            while let page = try await pages.next() {
                for run in page.elements where run.lifecycle == .active && scope.contains(run) {
                    if let why = try tooEarly(run) {
                        summary.leftOut[why, default: 0] += 1
                        continue
                    }
                    let fate = try await WorkError.of { try await retireIfProven(run) }
                    if fate == .retired { summary.retired += 1 } else { summary.refused += 1 }
                    report(run.id, fate)
                }
                if !page.undecodable.isEmpty {
                    summary.leftOut["unreadable", default: 0] += page.undecodable.count
                    summary.unread += page.undecodable.count
                }
            }
        } closed: { _, _ in
            summary.leftOut["experiments closed to us", default: 0] += 1
            summary.unread += 1
        }
        return summary
    }

    private func tooEarly(_ run: Run) throws -> String? {
        guard run.status.isTerminal else { return "still running" }
        guard (run.endTime ?? 0) + grace <= mirror.clock.nowMilliseconds else { return "ended a moment ago" }
        let files = EntityKey(.runArtifacts, run.id.rawValue)
        return try mirror.state.entry(.run(run.id)) != nil || mirror.state.entry(files) != nil ? "being carried across" : nil
    }

    /// What one run is refused with concerns that one alone.
    private func retireIfProven(_ run: Run) async throws -> Fate {
        do { return try await retire(run) } catch let error as StoreError where error.decision == .setAside {
            return .refused(why: ["\(error)"])
        }
    }

    private func retire(_ listed: Run) async throws -> Fate {
        let key = EntityKey.run(listed.id)
        guard let identity = try mirror.state.identity(.run, listed.id.rawValue) else { return .refused(why: ["missing"]) }
        let there = try await mirror.retrying { try await mirror.secondary.run(RunID(identity.secondaryID)) }
        let here = try await mirror.retrying { try await mirror.primary.run(listed.id) }
        guard let here, here.lifecycle == .active, here.status.isTerminal else { return .refused(why: ["changed meanwhile"]) }
        guard let there, there.lifecycle == .active else { return .refused(why: ["missing"]) }
        let found = Locked<[Difference]>([])
        let tally = Tally(clock: mirror.clock) { difference in found.withLock { $0.append(difference) } }
        let comparison = Comparison(
            mirror: mirror, deep: true, tally: tally, primaryHasLoggedModels: mirror.primary.dialect.hasLoggedModels,
            acceptsNothing: true)
        try await comparison.take(.matched(primary: here, secondary: there))
        let lacking = found.withLock { $0 }.filter { !$0.isEditOfTheSecondary(identity.base) }.map(\.field)
        guard lacking.isEmpty, tally.summary.unreadable == 0 else { return .refused(why: lacking.isEmpty ? ["unreadable"] : lacking) }
        // What came while it was compared was not compared.
        guard try await mirror.retrying({ try await mirror.primary.run(here.id) })?.recordDigest == here.recordDigest else {
            return .refused(why: ["changed meanwhile"])
        }
        guard !isDryRun else { return .retired }
        // It takes hours where there is much, and people may have thought otherwise meanwhile.
        guard let name = try await mirror.experimentName(here.experiment), try mirror.state.modes.isSealed(name) else {
            return .refused(why: ["no longer azureml-only"])
        }
        // On the run itself too: a state file can be lost.
        try await primary.logBatch(RunBatch(tags: [Tag(Stamp.retiredKey, mirror.stamp.pair)]), toRun: here.id)
        try mirror.state.note(retired: key, at: mirror.clock.nowMilliseconds)
        try await primary.deleteRun(here.id)
        mirror.logger.event(.retired, ["entity": "\(key)", "secondary_id": there.id.rawValue])
        return .retired
    }
}

extension Difference {
    /// The primary's value had been carried across, and somebody there has changed it since.
    fileprivate func isEditOfTheSecondary(_ base: Base?) -> Bool {
        guard let base, field.hasPrefix("tag:") || field == "name" else { return false }
        let now = base[Base.Field(field)]
        // A tag of theirs, or a value of ours that they have changed or removed.
        return primaryValue.map { now == FieldDigest($0) } ?? (now == nil)
    }
}
