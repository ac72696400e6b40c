import FoundationEssentials
import Hashing
import Logging

/// Files leave no trace where changes are seen, and are watched only until some time after their run has ended. This goes over everything that
/// was copied, a little at a time, for ever, and has those files copied that came later.
///
/// Names and sizes are compared, which is what a listing tells. What is missing from a listing is never taken for deleted.
final class FileSweep<Primary: TrackingStore, Secondary: WritableStore>: Sendable {
    /// How far it is, in the state file: a daemon that is started every day comes to the end as well.
    struct Place: Codable, Sendable, Hashable {
        /// Milliseconds since 1970, all of them; the last one is of the sweep before.
        var startedAt: Int64
        var finishedStart: Int64?
        /// Experiments up to this one are done; nil: between two sweeps.
        var after: String?
        /// In the next one, runs that started before it are done.
        var runsFrom: Int64?
        /// A place was refused, so that not everything has been compared.
        var hasGaps = false
    }

    private let mirror: Mirror<Primary, Secondary>
    private let desk: LiveDesk
    private let health: StoreHealth<Primary, Secondary>
    private let budget: RequestBudget
    /// Milliseconds, at least, from one beginning to the next.
    private let pause: Int64
    /// What was found of those that still differ after they were looked at (a file that was set aside, or is kept as people have it).
    private let told = Locked<[EntityKey: SHA256Digest]>([:])
    /// Since something was done.
    private let failures = Locked(0)
    private static var mostTold: Int { 20_000 }
    private static var runsPerPage: Int { 100 }
    /// Seconds between two looks whether it may go on.
    private static var rest: Double { 5 }

    init(
        _ mirror: Mirror<Primary, Secondary>, _ desk: LiveDesk, _ health: StoreHealth<Primary, Secondary>, perSecond: Double, pause: Double
    ) {
        self.mirror = mirror
        self.desk = desk
        self.health = health
        budget = RequestBudget(perSecond: perSecond, clock: mirror.clock)
        self.pause = Int64(pause * 1000)
    }

    static func place(in state: ReplicationState) throws -> Place? {
        try state.control(.fileSweep).flatMap { try? JSONDecoder().decode(Place.self, from: Data($0.utf8)) }
    }

    func run() async throws {
        while true {
            do { try await sweep() } catch let error as StoreError {
                let failures = failures.withLock { failures in
                    failures += 1
                    return failures
                }
                if await health.suspect(error), failures == 1 {
                    mirror.logger.event(.comparingInterrupted, ["detail": "\(error)"])
                }
                try await mirror.clock.sleep(seconds: Backoff(first: 5, most: 300).pause(attempt: failures))
            }
        }
    }

    /// From where it was to the end, and then until the next one is due.
    private func sweep() async throws {
        let now = mirror.clock.nowMilliseconds
        let known = try Self.place(in: mirror.state)
        // A first daemon lists everything while people go on: the first sweep follows at once.
        var place = known ?? Place(startedAt: now - pause)
        desk.set(filesSweptSince: place.finishedStart)
        if place.after == nil {
            // A clock that was set back is not waited for.
            let due = min(place.startedAt, now) + pause
            if due > now { try await mirror.clock.sleep(seconds: Double(due - now) / 1000) }
            place = Place(startedAt: mirror.clock.nowMilliseconds, finishedStart: place.finishedStart, after: "")
        }
        while let after = place.after {
            let ids = try mirror.state.mappedIDs(.experiment, after: after, limit: 100).map(\.primary)
            for id in ids {
                try await look(at: ExperimentID(id), &place)
                place.after = id
                place.runsFrom = nil
                try note(place)
            }
            guard ids.isEmpty else { continue }
            place.after = nil
            if !place.hasGaps { place.finishedStart = place.startedAt }
            try note(place)
            desk.set(filesSweptSince: place.finishedStart)
        }
    }

    private func note(_ place: Place) throws {
        failures.withLock { $0 = 0 }
        try mirror.state.setControl(.fileSweep, String(decoding: try JSONEncoder().encode(place), as: UTF8.self))
    }

    /// A place that the store refuses is left out.
    private func look(at experiment: ExperimentID, _ place: inout Place) async throws {
        do {
            let query = RunQuery(
                experiments: [experiment], startedFrom: place.runsFrom ?? mirror.configuration.scope.since,
                startedBefore: mirror.configuration.scope.until, pageSize: Self.runsPerPage)
            var pages = RunPages(mirror.primary, query, mirror.retrying)
            while true {
                try await turn(.runs)
                guard let page = try await pages.next() else { break }
                for run in page.elements {
                    try await look(at: run, &place)
                    place.runsFrom = run.startTime
                }
                if !page.elements.isEmpty { try note(place) }
            }
            guard mirror.primary.dialect.hasLoggedModels else { return }
            try await mirror.retrying.pages {
                try await turn(.loggedModels)
                return try await self.mirror.primary.loggedModels(in: [experiment], $0)
            } _: { page in
                for model in page.elements { try await look(at: model, &place) }
            }
        } catch let error as StoreError {
            try await leaveGap(error, &place)
        }
    }

    /// What concerns one place alone does not hold up the others.
    private func leaveGap(_ error: StoreError, _ place: inout Place) async throws {
        // What is gone has no files that were missed.
        if error.reason == .notFound { return }
        if error.decision != .setAside {
            guard await health.suspect(error) else {
                if try Self.place(in: mirror.state) != place { try note(place) }
                throw error
            }
        }
        place.hasGaps = true
    }

    private func look(at run: Run, _ place: inout Place) async throws {
        guard try await mirror.isInScope(run) else { return }
        let owner = ArtifactOwner(.run(run.id), root: run.artifactURI)
        do { try await compare(EntityKey(.runArtifacts, run.id.rawValue), of: .run(run.id), owner) } catch let error as StoreError {
            try await leaveGap(error, &place)
        }
    }

    private func look(at model: LoggedModel, _ place: inout Place) async throws {
        guard try await mirror.isInScope(model) else { return }
        let owner = ArtifactOwner(.loggedModel(model.id), root: model.artifactURI)
        do {
            try await compare(EntityKey(.loggedModelArtifacts, model.id.rawValue), of: .loggedModel(model.id), owner)
        } catch let error as StoreError { try await leaveGap(error, &place) }
    }

    /// What waits, or was never made, is not the sweep's.
    private func compare(_ files: EntityKey, of thing: EntityKey, _ owner: ArtifactOwner) async throws {
        guard let identity = try mirror.state.identity(thing.kind, thing.id), identity.root != nil, try mirror.state.entry(files) == nil,
            try mirror.state.entry(thing) == nil
        else { return }
        let manifest = try mirror.state.manifest(of: files)
        var others: [String] = []
        try await mirror.primary.walk(filesOf: owner) { file in
            if manifest[ExactName(file.path)]?.size != file.size ?? 0 { others.append("\(file.size ?? 0) \(file.path)") }
        } refused: { path, _ in
            others.append(path)
        } before: {
            try await turn(.files)
        }
        let found = others.isEmpty ? nil : SHA256Digest.of(others.sorted().joined(separator: "\n").utf8)
        let isNew = told.withLock { told in
            defer {
                if told.count >= Self.mostTold { told = [:] }
                told[files] = found
            }
            return found != nil && told[files] != found
        }
        guard isNew else { return }
        try mirror.state.append([Change(files, .record)], at: mirror.clock.nowMilliseconds)
        desk.wakeup.raise()
    }

    /// One request's turn: after a listing of everything, and while both stores are there.
    private func turn(_ endpoint: RequestBudget.Endpoint) async throws {
        while desk.isListing || health.isHeld { try await mirror.clock.sleep(seconds: Self.rest) }
        try await budget.take(endpoint)
    }
}
