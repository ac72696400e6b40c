import Replication

/// Whether both servers answer, let themselves be read, and are two.
struct ServerCheck {
    let session: Session

    func run(_ settings: MirrorSettings, _ list: inout CheckList) async throws {
        let primary = try await identity(settings.primary, &list)
        let secondary = try await identity(settings.secondary, &list)
        guard let primary, let secondary else { return list.skip("two servers", "not known: see above") }
        list.run("two servers") {
            guard primary != secondary else {
                throw MirrorError(.sameStore, "both addresses lead to one and the same server; primary and secondary must be two")
            }
            return "primary and secondary are different servers"
        }
    }

    /// Throws only when the check itself is cancelled.
    private func identity(_ settings: StoreSettings, _ list: inout CheckList) async throws -> StoreIdentity? {
        let name = settings.role.rawValue
        let opened: OpenedStore
        do {
            opened = try session.openStore(settings)
        } catch {
            list.failed(name, error)
            return nil
        }
        defer { opened.close() }
        do {
            let version = try await opened.version()
            let identity = try await opened.store.identity()
            list.ok(name, "\(settings.uri.value), MLflow \(version ?? "of unknown version")")
            await permissions(opened.store, "\(name) permission", &list)
            try Task.checkCancellation()
            return identity
        } catch let error as CancellationError {
            throw error
        } catch {
            list.failed(name, error)
            list.skip("\(name) permission", "not known: see above")
            return nil
        }
    }

    private func permissions(_ store: any WritableStore, _ name: String, _ list: inout CheckList) async {
        do {
            list.ok(name, try await read(store))
        } catch {
            list.failed(name, error)
        }
    }

    /// Reads one of everything that can be listed with one request each.
    private func read(_ store: any WritableStore) async throws -> String {
        let experiments = try await store.experiments(nil)
        let ids = experiments.elements.filter { $0.lifecycle == .active }.map(\.id)
        var runNote = "no run is there to be read"
        if !ids.isEmpty {
            let runs = try await store.runs(RunQuery(experiments: Array(ids.prefix(100)), pageSize: 1), nil)
            if let run = runs.elements.first, try await store.run(run.id) != nil { runNote = "a run can be read" }
        }
        let models = try await store.registeredModels(nil)
        let counted = Quantity.count(experiments.elements.count, "experiment") + (experiments.next == nil ? "" : " and more")
        let modelsCounted = Quantity.count(models.elements.count, "registered model") + (models.next == nil ? "" : " and more")
        return "\(counted) and \(modelsCounted) can be listed, \(runNote); writing is not tried"
    }
}
