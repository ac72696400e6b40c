/// Histories of a run that grow while everything else of it stays as it is: most of what a live run does.
extension Mirror {
    /// Carries across what is new of the named histories, with one read and one write where the primary can be read so.
    ///
    /// - Returns: false when the run has to be looked at as a whole: nothing is finished then.
    func applyPoints(_ entry: ChangeLogEntry) async throws -> Bool {
        let id = RunID(entry.key.id)
        return try await locks.withLock(entry.key) {
            guard var identity = try state.identity(.run, id.rawValue), var base = identity.base else { return false }
            // Nothing was looked at since the scope became another one: whether it is in it, the record tells.
            guard identity.record != nil || configuration.scope.hasNoEdge, try !mayHaveLeft(id) else { return false }
            let series = try state.changedSeries(of: id).sorted { $0.metric < $1.metric }
                .map { ChangedSeries(key: $0.metric, since: $0.since) }
            // What an earlier attempt may have sent, of whatever history, is the whole run's business.
            if !secondary.dialect.metricsAreIdempotent, try state.isNoted(Intent(entry.key, .metrics)) { return false }
            // One that is new to us may be long: its first reading is too.
            guard !series.isEmpty, series.allSatisfy({ base.series[FieldDigest($0.key)] != nil }) else { return false }
            let writer = MetricWriter(
                mirror: self, run: id, target: RunID(identity.secondaryID), gate: WriteGate(restoreExperiment: {}, restoreRun: nil),
                saved: base, asksSecondary: false)
            let written: MetricWriter<Primary, Secondary>.Written
            do {
                written = try await writer.write(params: [], tags: [], series, into: &base)
            } catch let error as StoreError where error.decision == .setAside {
                // Deleted on one side or the other, most likely: the record tells.
                return false
            }
            identity.base = base
            let watch = identity.isSettled ? nil : fileWatch(of: id, endTime: nil)
            try acknowledge(
                Acknowledgement(entry: entry, identity: identity, watch: watch, isPartial: true, clears: Intent(entry.key, .metrics)))
            noteRecent(written, of: id, series)
            return true
        }
    }

    /// - Parameter isNew: whether nothing is known of it yet.
    func fileWatch(of run: Run, isNew: Bool) throws -> FileWatch? {
        var endTime = run.status.isTerminal ? run.endTime ?? clock.nowMilliseconds : nil
        // One that a feed reports was made a moment ago, whatever times its client gives it: its files may be still to come.
        if isNew, let end = endTime, try state.control(.reconciling) == nil { endTime = max(end, clock.nowMilliseconds) }
        guard run.lifecycle == .deleted else { return fileWatch(of: run.id, endTime: endTime) }
        // When it was deleted is not told, and who was writing files into it may not be done. What had ended before we knew of it is another matter.
        return fileWatch(of: run.id, endTime: isNew ? endTime ?? clock.nowMilliseconds : clock.nowMilliseconds)
    }

    /// A logged model's files are put into it while it is pending.
    func fileWatch(of model: LoggedModel) -> FileWatch? {
        guard let pause = configuration.filePause, configuration.scope.artifacts else { return nil }
        let owner = EntityKey(.loggedModelArtifacts, model.id.rawValue)
        guard model.status != .pending else { return FileWatch(owner, pause: pause, until: nil) }
        let until = (model.lastUpdateTime ?? model.creationTime ?? 0) + configuration.fileGrace
        return until <= clock.nowMilliseconds ? nil : FileWatch(owner, pause: pause, until: until)
    }

    private func fileWatch(of run: RunID, endTime: Int64?) -> FileWatch? {
        guard let pause = configuration.filePause, configuration.scope.artifacts else { return nil }
        let until = endTime.map { $0 + configuration.fileGrace }
        if let until, until <= clock.nowMilliseconds { return nil }
        return FileWatch(EntityKey(.runArtifacts, run.rawValue), pause: pause, until: until)
    }

    /// Which histories of a run have to be looked at.
    ///
    /// - Parameter overflow: those that are in its overflow document.
    func changedSeries(
        of record: Run, _ entry: ChangeLogEntry, _ base: Base?, _ histories: [FieldDigest: [MetricPoint]], besides overflow: [String]
    ) throws -> [ChangedSeries] {
        let changed = entry.extent == .whole ? [] : try state.changedSeries(of: record.id)
        let named = Dictionary(changed.map { (FieldDigest($0.metric), $0.since) }) { first, _ in first }
        let overflow = Set(overflow)
        return record.latestMetrics.compactMap { metric in
            if overflow.contains(metric.key) { return nil }
            let name = FieldDigest(metric.key)
            let since = named[name]
            let mark = base?.series[name]
            let isAsItWas = mark?.latest == SeriesMark.digest(ofLatest: metric.point)
            if entry.extent != .whole, since == nil, isAsItWas { return nil }
            return ChangedSeries(key: metric.key, latest: metric.point, since: since, prefetched: histories[name])
        }
    }

    /// Those of a run that is new to us, all at once where the primary can be read so.
    func wholeHistories(of record: Run, _ base: Base?) async throws -> [FieldDigest: [MetricPoint]] {
        guard primary.dialect.readsWholeRuns, base?.series.isEmpty ?? true, !record.latestMetrics.isEmpty else { return [:] }
        return HistoryPrefetch.whole(record, try await primary.histories(of: record.id, limit: HistoryPrefetch.pointsOfOneRun))
    }

    func noteRecent(_ written: MetricWriter<Primary, Secondary>.Written, of run: RunID, _ series: [ChangedSeries]) {
        let noted = Set(written.recent.map(\.key))
        recent.forget(run, series.map(\.key).filter { !noted.contains($0) })
        recent.note(written.recent, of: run)
    }
}
