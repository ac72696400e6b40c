import Hashing

/// The comparisons of one verification.
struct Comparison<Primary: TrackingStore, Secondary: WritableStore>: Sendable {
    let mirror: Mirror<Primary, Secondary>
    let deep: Bool
    let tally: Tally
    /// Then a run may have some as inputs, which a listing of runs does not show.
    let primaryHasLoggedModels: Bool
    /// What versions stand on is compared too.
    var foundations: Foundations?
    /// Also what stands by a rule is a difference.
    var acceptsNothing = false

    private var state: ReplicationState { mirror.state }

    // MARK: Experiments

    /// - Returns: the experiments in scope that have a counterpart.
    func compareExperiments() async throws -> [ExperimentID] {
        var mapped: [ExperimentID] = []
        var listed: Set<ExperimentID> = []
        try await mirror.retrying.pages({ try await mirror.primary.experiments($0) }) { page in
            for bad in page.undecodable {
                try await tally.unreadable(.experiment, bad.id ?? "?", bad.reason)
                if let id = bad.id { listed.insert(ExperimentID(id)) }
            }
            // Where the store knows no order that stays, pages may overlap.
            for experiment in page.elements where listed.insert(experiment.id).inserted {
                guard mirror.configuration.scope.contains(experiment) else {
                    tally.leftOut("experiments outside the scope")
                    continue
                }
                tally.compared("experiments")
                if try await compare(experiment) { mapped.append(experiment.id) }
            }
        }
        try await compareLeftExperiments(besides: listed)
        return mapped
    }

    func compare(_ here: Experiment) async throws -> Bool {
        let key = EntityKey.experiment(here.id)
        guard let id = try state.secondaryID(.experiment, here.id.rawValue),
            let there = try await mirror.retrying({ try await mirror.secondary.experiment(ExperimentID(id)) })
        else {
            try await tally.note([missing(.experiment, here.id.rawValue, here.name)], repair: key)
            return false
        }
        var fields = FieldComparison(.experiment, here.id.rawValue, there.id.rawValue)
        let base = try state.identity(key.kind, key.id)?.base
        let isAdopted = Stamp.isForeign(base, there.tags)
        let dialect = mirror.secondary.dialect
        let isRenamed = there.name.hasPrefix("\(mirror.configuration.pair)/")
        if dialect.experimentNames != nil || !dialect.renamesExperiments {
            if there.name != here.name {
                fields.compare("name", here.name, there.tags.first { $0.key == Stamp.nameKey }?.value)
                tally.converted("experiment names")
            }
        } else if !isAdopted, !isRenamed {
            fields.compare("name", mirror.renamed(here), there.name)
        }
        if !isAdopted { fields.compare("lifecycle", here.lifecycle.rawValue, there.lifecycle.rawValue) }
        var tagsThere = RunComparison.dictionary(mirror.followed(there.tags).filter { !$0.key.hasPrefix(Stamp.prefix) })
        let tagsHere = RunComparison.dictionary(here.tags.filter { !$0.key.hasPrefix(Stamp.prefix) })
        if !dialect.deletesExperimentTags {
            let emptied = tagsThere.filter { $0.value.isEmpty && tagsHere[$0.key] == nil }.map(\.key)
            for key in emptied { tagsThere[key] = nil }
            tally.converted("deleted tags of experiments, emptied", emptied.count)
        }
        // What an adopted experiment has of its own is left alone.
        if isAdopted { tagsThere = tagsThere.filter { tagsHere[$0.key] != nil || base?[.tag($0.key)] != nil } }
        fields.compare("tag:", tagsHere, tagsThere)
        try await note(fields.differences, repair: key, in: .experimentNamed(here.id, here.name))
        return true
    }

    func missing(_ kind: EntityKey.Kind, _ id: String, _ name: String?) -> Difference {
        Difference(kind: kind, primary: id, secondary: nil, field: "missing", primaryValue: name, secondaryValue: nil)
    }

    // MARK: Runs

    /// What is in them.
    func compareContents(of experiments: [ExperimentID]) async throws {
        let (primary, secondary) = (mirror.primary, mirror.secondary)
        mirror.board.update { $0.phase = "runs" }
        for group in experiments.chunks(of: min(primary.dialect.experimentsPerSearch, secondary.dialect.experimentsPerSearch)) {
            try await compareRuns(group)
        }
        mirror.board.update { $0.phase = "models" }
        if primary.dialect.hasLoggedModels { try await compareLoggedModels(experiments) }
    }

    func compareRuns(_ experiments: [ExperimentID]) async throws {
        let scope = mirror.configuration.scope
        let there = try experiments.compactMap { try state.secondaryID(.experiment, $0.rawValue).map { ExperimentID($0) } }
        let mirror = mirror
        let query = RunQuery(experiments: experiments, startedFrom: scope.since, startedBefore: scope.until, pageSize: 250)
        var stamped = query
        stamped.experiments = there
        stamped.tag = Tag(Stamp.storeKey, mirror.stamp.store.rawValue)
        var ours = RunGroups(RunPages(mirror.primary, query, mirror.retrying))
        var theirs = RunGroups(RunPages(mirror.secondary, stamped, mirror.retrying))
        var here: (startTime: Int64, runs: [Run])?
        do { here = try await ours.next() } catch let error as StoreError where experiments.count > 1 && error.mayBeOfOneAmongMany {
            for half in experiments.halves { try await compareRuns(half) }
            return
        } catch let error as StoreError where error.isClosed {
            return try await unreadable(experiments, error)
        }
        var other = try await theirs.next()
        try await withThrowingTaskGroup(of: Void.self) { group in
            var inFlight = 0
            while here != nil || other != nil {
                let steps: [MarchStep]
                switch (here, other) {
                case (let a?, let b?) where a.startTime == b.startTime:
                    steps = RunMarch.match(a.runs, b.runs, stamp: mirror.stamp)
                    here = try await ours.next()
                    other = try await theirs.next()
                case (let a?, let b) where b == nil || a.startTime < b?.startTime ?? .max:
                    steps = RunMarch.match(a.runs, [], stamp: mirror.stamp)
                    here = try await ours.next()
                case (_, let b?):
                    steps = RunMarch.match([], b.runs, stamp: mirror.stamp)
                    other = try await theirs.next()
                default: return
                }
                for step in steps {
                    if inFlight >= mirror.configuration.window {
                        try await group.next()
                        inFlight -= 1
                    }
                    inFlight += 1
                    group.addTask { try await takeInScope(step) }
                }
            }
            try await group.waitForAll()
        }
        for bad in ours.undecodable + theirs.undecodable { try await tally.unreadable(.run, bad.id ?? "?", bad.reason) }
    }

    /// What is in them cannot be seen.
    func unreadable(_ experiments: [ExperimentID], _ error: StoreError) async throws {
        for id in experiments { try await tally.unreadable(.experiment, id.rawValue, error.message) }
    }

    private func takeInScope(_ step: MarchStep) async throws {
        switch step {
        case .missing(let run) where !mirror.configuration.scope.contains(run),
            .matched(primary: let run, secondary: _) where !mirror.configuration.scope.contains(run):
            tally.leftOut("runs of other owners")
        default: try await take(step)
        }
    }

    func take(_ step: MarchStep) async throws {
        switch step {
        case .missing(let run):
            tally.compared("runs")
            try await tally.note([missing(.run, run.id.rawValue, run.name)], repair: .run(run.id))
        case .extra(let run, let of, let isDouble):
            if !isDouble, mirror.configuration.scope.owners != .everything,
                let here = try await mirror.retrying({ try await mirror.primary.run(of) }), try await !mirror.isInScope(here)
            {
                return tally.leftOut("runs of other owners")
            }
            if !isDouble, let known = try state.identity(.run, of.rawValue), known.secondaryID == run.id.rawValue,
                known.base?[.purged] != nil
            {
                if run.lifecycle == .deleted { return tally.leftOut("gone from the primary") }
                if try await mirror.keepsPurged(.run(of)) { return tally.accepted(.purgedOnPrimary) }
            }
            let difference = Difference(
                kind: .run, primary: of.rawValue, secondary: run.id.rawValue, field: isDouble ? "doubled" : "extra",
                secondaryValue: run.name)
            // One that was made, and carried across, between the two listings is looked at once more.
            var isNew = !isDouble && tally.looksAgain
            if isNew { isNew = try await isCopyOfOneThatIsThere(run.id, of) }
            try await tally.note([difference], repair: isNew ? .run(of) : nil)
        case .matched(let here, let there):
            tally.compared("runs")
            mirror.board.update { $0.runsTotal += 1 }
            mirror.board.count { $0.runs.unchanged += 1 }
            let (here, there) = try await withModelInputs(here, there)
            let map = try references(of: here)
            var image = RunImage(here, in: try secondaryExperiment(of: here, there), map, stamp: mirror.stamp)
            let key = EntityKey.run(here.id)
            var shown = here
            if mirror.secondary.dialect.runLimits != nil {
                let overflow = Overflow(missingFrom: there, of: &image, metrics: here.latestMetrics.map(\.key), mirror.secondary.dialect)
                shown.latestMetrics.removeAll { overflow.metrics.contains($0.key) }
                try await compareOverflow(overflow, here, there)
            }
            var differences = RunComparison.differences(shown, image, mirror.followed(there))
            if here.lifecycle == .deleted, differences.contains(where: { $0.field == "lifecycle" }), try mirror.isRetired(here) {
                differences.removeAll { $0.field == "lifecycle" }
                tally.converted("runs retired from the primary")
            }
            differences = try await besidesOtherLatest(differences, shown, there)
            try await note(differences, repair: key, in: .experiment(here.experiment))
            try await compareUnknown(here, there)
            if deep { try await compareHistories(shown, there) }
            if mirror.configuration.scope.artifacts {
                try await compareFiles(EntityKey(.runArtifacts, here.id.rawValue), of: here, there)
            }
        }
    }

    private func isCopyOfOneThatIsThere(_ copy: RunID, _ run: RunID) async throws -> Bool {
        guard try state.secondaryID(.run, run.rawValue) == copy.rawValue else { return false }
        return try await mirror.retrying { try await mirror.primary.run(run) } != nil
    }

    private func withModelInputs(_ here: Run, _ there: Run) async throws -> (Run, Run) {
        guard primaryHasLoggedModels, !mirror.primary.dialect.listsModelInputs else { return (here, there) }
        var (one, other) = (here, there)
        one.modelInputs = try await mirror.retrying { try await mirror.primary.run(here.id)?.modelInputs } ?? []
        other.modelInputs = try await mirror.retrying { try await mirror.secondary.run(there.id)?.modelInputs } ?? []
        return (one, other)
    }

    private func secondaryExperiment(of here: Run, _ there: Run) throws -> ExperimentID {
        try state.secondaryID(.experiment, here.experiment.rawValue).map { ExperimentID($0) } ?? there.experiment
    }

    private func references(of run: Run) throws -> References.Map {
        var found = References.find(in: run.tags)
        found.models.formUnion(run.modelInputs)
        found.models.formUnion(run.modelOutputs.map(\.model))
        return try mirror.counterparts(of: found)
    }
}
