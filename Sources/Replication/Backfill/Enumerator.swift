import Hashing
import Logging

/// Lists everything in scope on the primary, and appends to the change log what is not as it was when it was last finished.
struct Enumerator<Primary: TrackingStore, Secondary: WritableStore>: Sendable {
    let mirror: Mirror<Primary, Secondary>
    let wakeup: Signal
    /// Only counts: nothing is appended.
    var isDryRun = false
    /// What fails is not tried again: who asks does that.
    var triesOnce = false

    /// A listing has no entry in the log to be retried by: it is repeated here.
    private var retrying: Retrying { triesOnce ? mirror.retrying.once : mirror.retrying }

    private static var runsPerPage: Int { 250 }

    private var primary: Primary { mirror.primary }
    private var state: ReplicationState { mirror.state }
    private var board: ProgressBoard { mirror.board }
    private var scope: Scope { mirror.configuration.scope }

    func run() async throws {
        if !isDryRun { try state.questionListingLetters() }
        board.update { $0.phase = "experiments" }
        let (experiments, known) = try await enumerateExperiments()
        board.update { $0.phase = "runs" }
        let asksForInputs = try await mayHaveModelInputs(known)
        try await inGroups(experiments) { try await enumerateRuns($0, asksForInputs: asksForInputs) }
        board.update { $0.phase = "models" }
        if primary.dialect.hasLoggedModels { try await inGroups(experiments) { try await enumerateLoggedModels($0) } }
        do { try await enumerateRegisteredModels() } catch let error as StoreError where error.decision == .setAside {
            // Closed to us as a whole: everything else is copied.
            try setAside(DeadLetter(key: EntityKey(.registeredModel, "?"), path: "registry", error))
        }
        var uncopied: [String: Int] = [:]
        try await inGroups(experiments) { uncopied.merge(try await primary.uncopied(in: $0)) { $0 + $1 } }
        uncopied.merge(try await retrying { try await primary.uncopiedModels() }) { $0 + $1 }
        note(leftOut: uncopied)
        if !isDryRun {
            try state.note(uncopied: uncopied)
            try state.dropQuestionedListingLetters()
        }
        board.update {
            $0.enumerationComplete = true
            $0.phase = "copying"
        }
    }

    /// Once more what could not be listed, alone.
    ///
    /// - Parameter key: of the letter that says so.
    /// - Throws: `StoreError` when it cannot be listed now either.
    func list(_ key: EntityKey) async throws {
        guard key.kind == .experiment else { return try await enumerateRegisteredModels() }
        let id = ExperimentID(key.id)
        guard let experiment = try await retrying({ try await primary.experiment(id) }), scope.contains(experiment) else { return }
        try await enumerateRuns([id], asksForInputs: try await mayHaveModelInputs([id]))
        if primary.dialect.hasLoggedModels { try await enumerateLoggedModels([id]) }
    }

    // MARK: Experiments

    private func enumerateExperiments() async throws -> (inScope: [ExperimentID], all: [ExperimentID]) {
        var ids: [ExperimentID] = []
        var all: [ExperimentID] = []
        var listed: Set<ExperimentID> = []
        try await pages({ try await primary.experiments($0) }) { page, mark in
            // Where the store knows no order that stays, pages may overlap.
            let page = page.filter { listed.insert($0.id).inserted }
            let inScope = page.filter { scope.contains($0) }
            board.count { $0.leftOut["experiments outside the scope", default: 0] += page.count - inScope.count }
            // One that comes into scope while the rest is listed is known to have been left out.
            let outside = page.filter { !scope.contains($0) }
            for one in outside { mirror.note(nameOf: one) }
            // One that was in scope when it was copied, and was renamed where nobody saw it.
            let gone = try state.records(.experiment, outside.map(\.id.rawValue))
            try append(outside.filter { gone[$0.id.rawValue] != nil }.map { (.experiment($0.id), .experiment($0)) }, readAfter: mark)
            ids += inScope.map(\.id)
            all += page.map(\.id)
            let changed = try changed(.experiment, inScope.map { ($0.id.rawValue, $0.recordDigest) })
            board.count { $0.experiments.unchanged += inScope.count - changed.count }
            // A name that several had goes to the one that is there.
            let inOrder = inScope.filter { $0.lifecycle == .active } + inScope.filter { $0.lifecycle != .active }
            try append(inOrder.filter { changed.contains($0.id.rawValue) }.map { (.experiment($0.id), .experiment($0)) }, readAfter: mark)
            try await mirror.fresh.waitForRoom()
        }
        return (ids, all)
    }

    private func inGroups(_ experiments: [ExperimentID], _ body: ([ExperimentID]) async throws -> Void) async throws {
        try await primary.inGroups(experiments, body) { id, error in
            try setAside(DeadLetter(key: .experiment(id), path: "contents", error))
        }
    }

    // MARK: Runs

    private func enumerateRuns(_ experiments: [ExperimentID], asksForInputs: Bool) async throws {
        let query = RunQuery(
            experiments: experiments, startedFrom: scope.since, startedBefore: scope.until, pageSize: Self.runsPerPage)
        var pages = RunPages(primary, query, retrying)
        var isFirst = true
        while true {
            let mark = mirror.fresh.mark
            guard let page = try await pages.next() else { break }
            try note(page.undecodable)
            try await take(page.elements, asksForInputs: asksForInputs, startsSmall: isFirst, readAfter: mark)
            isFirst = false
        }
    }

    /// Without logged models nothing can be an input. Those of any experiment can, out of scope or not.
    private func mayHaveModelInputs(_ experiments: [ExperimentID]) async throws -> Bool {
        guard primary.dialect.hasLoggedModels, !primary.dialect.listsModelInputs else { return false }
        for group in experiments.chunks(of: primary.dialect.experimentsPerSearch) {
            do {
                let page = try await retrying { try await primary.loggedModels(in: group, nil) }
                if !page.elements.isEmpty || page.next != nil { return true }
            } catch let error as StoreError {
                if error.decision != .setAside, await !primary.failsAlone(error) { throw error }
                // Not to be seen, and so perhaps there.
                return true
            }
        }
        return false
    }

    private func take(_ listed: [Run], asksForInputs: Bool, startsSmall: Bool, readAfter mark: Int) async throws {
        let runs = listed.filter { scope.contains($0) }
        if runs.count < listed.count { board.count { $0.leftOut["runs of other owners", default: 0] += listed.count - runs.count } }
        let records = runs.map { ($0.id.rawValue, $0.recordDigest) }
        let changed = try changed(.run, records)
        board.update {
            $0.runsTotal += runs.count
            $0.counts.runs.unchanged += runs.count - changed.count
        }
        let todo = runs.filter { changed.contains($0.id.rawValue) }
        if isDryRun {
            for run in todo {
                let isNew = try state.secondaryID(.run, run.id.rawValue) == nil
                board.count { if isNew { $0.runs.created += 1 } else { $0.runs.updated += 1 } }
            }
            return
        }
        for group in HistoryPrefetch.groups(todo, dialect: primary.dialect, startsSmall: startsSmall) {
            try await mirror.fresh.waitForRoom()
            let read = try await readAhead(group, asksForInputs: asksForInputs)
            try append(zip(group, read).map { (.run($0.id), $1.map { .run($0) }) }, readAfter: mark)
        }
    }

    /// What cannot be read ahead is read when its turn comes.
    private func readAhead(_ group: [Run], asksForInputs: Bool) async throws -> [FreshRecords.FreshRun?] {
        do {
            return try await HistoryPrefetch.read(group, from: primary, asksForInputs: asksForInputs, retrying)
        } catch let error as StoreError {
            guard await primary.failsAlone(error) else { throw error }
            return group.map { _ in nil }
        }
    }

    // MARK: Models

    private func enumerateLoggedModels(_ experiments: [ExperimentID]) async throws {
        try await pages({ try await primary.loggedModels(in: experiments, $0) }) { page, mark in
            let models = page.filter { scope.contains($0) }
            let changed = try changed(.loggedModel, models.map { ($0.id.rawValue, $0.recordDigest) })
            board.count { $0.loggedModels.unchanged += models.count - changed.count }
            try append(models.filter { changed.contains($0.id.rawValue) }.map { (.loggedModel($0.id), .loggedModel($0)) }, readAfter: mark)
            try await mirror.fresh.waitForRoom()
        }
    }

    private func enumerateRegisteredModels() async throws {
        var hasStumbled = false
        try await pages({ try await primary.registeredModels($0) }) { models, mark in
            for model in models {
                if model.isPrompt {
                    board.count { $0.leftOut["prompts", default: 0] += 1 }
                    continue
                }
                guard scope.contains(model.name) else {
                    board.count { $0.leftOut["models outside the scope", default: 0] += 1 }
                    continue
                }
                let versions: [ModelVersion]
                do {
                    let patience = hasStumbled ? mirror.retrying.once : retrying
                    versions = try await patience { try await mirror.allVersions(primary, model.name) }
                } catch let error as StoreError where error.decision == .setAside {
                    try setAside(DeadLetter(key: .registeredModel(model.name), error))
                    continue
                } catch let error as StoreError {
                    // Where each model stumbles, only the first is tried again here. The replicator reads it, and has patience with each.
                    guard await primary.failsAlone(error) else { throw error }
                    hasStumbled = true
                    try append([(.registeredModel(model.name), nil)], readAfter: mark)
                    continue
                }
                let digest = model.recordDigest(with: versions)
                guard try !changed(.registeredModel, [(model.name.rawValue, digest)]).isEmpty else {
                    board.count {
                        $0.registeredModels.unchanged += 1
                        $0.versions.unchanged += versions.count
                    }
                    continue
                }
                try append([(.registeredModel(model.name), .registeredModel(model, versions))], readAfter: mark)
                try await mirror.fresh.waitForRoom()
            }
        }
    }

    // MARK: Common

    private func changed(_ kind: EntityKey.Kind, _ records: [(id: String, digest: SHA256Digest)]) throws -> Set<String> {
        let all = Set(records.map(\.id))
        if mirror.configuration.deep { return all }
        try state.noteRecordsOfDiscarded(kind, records)
        return all.subtracting(try state.unchanged(kind, records))
    }

    private func append(_ records: [(key: EntityKey, record: FreshRecords.Record?)], readAfter mark: Int) throws {
        guard !records.isEmpty else { return }
        if isDryRun { return try countOnly(records.map(\.key)) }
        let positions = try state.append(records.map { Change($0.key) }, at: mirror.clock.nowMilliseconds)
        mirror.fresh.put(zip(records, positions).compactMap { one, at in one.record.map { (one.key, $0, at) } }, readAfter: mark)
        // The replicator may have been quicker.
        for (record, position) in zip(records, positions) where try state.entry(record.key) == nil {
            mirror.fresh.discard(record.key, upTo: position)
        }
        wakeup.raise()
    }

    private func countOnly(_ keys: [EntityKey]) throws {
        for key in keys {
            let isNew = try state.secondaryID(key.kind, key.id) == nil
            board.count { counts in
                func note(_ entities: inout Counts.Entities) { if isNew { entities.created += 1 } else { entities.updated += 1 } }
                switch key.kind {
                case .experiment: note(&counts.experiments)
                case .loggedModel: note(&counts.loggedModels)
                case .registeredModel: note(&counts.registeredModels)
                default: break
                }
            }
        }
    }

    private func pages<Element: Sendable>(
        _ read: (PageToken?) async throws -> Page<Element>, _ take: ([Element], _ mark: Int) async throws -> Void
    ) async throws {
        var mark = 0
        try await retrying.pages {
            mark = mirror.fresh.mark
            return try await read($0)
        } _: { page in
            try note(page.undecodable)
            try await take(page.elements, mark)
        }
    }

    private func note(leftOut: [String: Int]) {
        board.count { counts in
            for (kind, count) in leftOut { counts.leftOut[kind, default: 0] += count }
        }
    }

    private func note(_ undecodable: [Undecodable]) throws {
        for item in undecodable { try setAside(DeadLetter(item)) }
    }

    private func setAside(_ letter: DeadLetter) throws {
        if isDryRun { return board.count { $0.deadLetters += 1 } }
        mirror.tell(letter, try state.setAside(letter, entry: nil, at: mirror.clock.nowMilliseconds))
    }
}
