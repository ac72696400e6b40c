import Replication

/// Whether both servers answer, let themselves be read, and are two.
struct ServerCheck {
    let session: Session

    /// Throws only when the check itself is cancelled.
    func run(_ settings: MirrorSettings, _ list: inout CheckList) async throws {
        let primary = try await check(settings.primary, of: settings, &list)
        defer { primary?.close() }
        let secondary = try await check(settings.secondary, of: settings, &list)
        defer { secondary?.close() }
        guard let primary, let secondary else { return list.skip("two servers", "not known: see above") }
        do {
            _ = try await Pair.identify(primary.store, secondary.store, name: settings.pair.value)
            list.ok("two servers", "primary and secondary are different servers")
        } catch {
            try Task.checkCancellation()
            list.failed("two servers", error)
        }
    }

    /// Whether both could be asked, by what is known of them here. Asks nobody.
    func runOffline(_ settings: MirrorSettings, _ list: inout CheckList) {
        for store in [settings.primary, settings.secondary] {
            do {
                try session.openStore(store).close()
                list.skip(store.role.rawValue, "not asked (--offline)")
            } catch {
                list.failed(store.role.rawValue, error)
            }
        }
    }

    /// The store, where it answers as an MLflow server does.
    private func check(_ settings: StoreSettings, of mirror: MirrorSettings, _ list: inout CheckList) async throws -> OpenedStore? {
        let name = settings.role.rawValue
        var opened: OpenedStore
        do {
            opened = try session.openStore(settings)
            // What it says of failures may hold what is masked.
            if settings.role == .primary { opened.store = mirror.passing(opened.store) }
        } catch {
            list.failed(name, error)
            return nil
        }
        do {
            let version = try await opened.version()
            _ = try await opened.store.identity()
            let kind = try await opened.kind?() ?? "MLflow \(version ?? "of unknown version")"
            list.ok(name, "\(settings.uri.value.shortName), \(kind)")
        } catch {
            opened.close()
            try Task.checkCancellation()
            list.failed(name, error)
            list.skip("\(name) permission", "not known: see above")
            return nil
        }
        do {
            var found = try await read(opened.store)
            if settings.role == .primary { found += try await leftOut(opened.store) }
            list.ok("\(name) permission", found)
        } catch {
            list.failed("\(name) permission", error)
        }
        return opened
    }

    /// Where the store refuses some of many, each is asked for alone: then it is known which one is closed.
    private func firstRun(_ store: any WritableStore, _ experiments: [ExperimentID]) async throws -> Run? {
        do {
            return try await store.runs(RunQuery(experiments: experiments, pageSize: 1), nil).elements.first
        } catch let error as StoreError where error.reason == .forbidden && experiments.count > 1 {
            var found: Run?
            for id in experiments { found = try await firstRun(store, [id]) ?? found }
            return found
        }
    }

    /// What its registries hold that would not be copied: nobody looks for what he is not told of.
    private func leftOut(_ store: any WritableStore) async throws -> String {
        let kinds = try await store.uncopiedModels().filter { $0.value > 0 }
        return kinds.isEmpty ? "" : "; left out: \(LabelCounts.text(kinds))"
    }

    /// Reads one of everything that can be listed with one request each.
    private func read(_ store: any WritableStore) async throws -> String {
        let experiments = try await store.experiments(nil)
        let ids = experiments.elements.filter { $0.lifecycle == .active }.map(\.id)
        var runNote = "no run is there to be read"
        if !ids.isEmpty {
            let group = Array(ids.prefix(min(100, store.dialect.experimentsPerSearch)))
            if let run = try await firstRun(store, group), try await store.run(run.id) != nil { runNote = "a run can be read" }
        }
        let models = try await store.registeredModels(nil)
        let counted = Quantity.count(experiments.elements.count, "experiment") + (experiments.next == nil ? "" : " and more")
        let modelsCounted = Quantity.count(models.elements.count, "registered model") + (models.next == nil ? "" : " and more")
        return "\(counted) and \(modelsCounted) can be listed, \(runNote); writing is not tried"
    }
}
