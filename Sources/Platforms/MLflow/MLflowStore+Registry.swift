import Curl
public import Replication

extension MLflowStore {
    /// Prompts, which the registry keeps as models, are not listed by the server.
    public func registeredModels(_ page: PageToken?) async throws -> Page<RegisteredModel> {
        if registry == .unityCatalog { return try await unityModels(page) }
        let listing = Listing<WireRegisteredModel, RegisteredModel>(
            member: "registered_models", kind: .registeredModel, id: ["name"], convert: { try $0.entity() },
            call: { size, page in
                let query = [("max_results", String(size)), ("order_by", "name ASC")] + (page.map { [("page_token", $0.rawValue)] } ?? [])
                return .get(MLflowCall.api("registered-models/search"), query, of: "the list of registered models")
            })
        do {
            return try await self.page(listing, size: 1000, page)
        } catch let error as StoreError where error.reason == .unsupported && dialect.mayLackRegistry && page == nil {
            try await confirmIsThere("registered models", error)
            return Page([])
        }
    }

    public func glance(atRegisteredModels page: PageToken?) async throws -> Page<RegisteredModel> {
        registry == .unityCatalog ? try await unityModels(page, mayKnow: true) : try await registeredModels(page)
    }

    /// A server lacks one call. One that lacks every call is another, which answers for it while it is away.
    func confirmIsThere(_ what: String, _ lack: StoreError) async throws {
        guard await !memory.isMissing(what) else { return }
        do { _ = try await experiments(nil) } catch let error as StoreError where error.reason == .unsupported {
            throw StoreError(.retry(after: nil), .serverFailure, lack.message, exchange: lack.exchange)
        }
        await memory.noteMissing(what)
    }

    public func registeredModel(_ name: ModelName) async throws -> RegisteredModel? {
        struct Answer: Decodable { var registeredModel: WireRegisteredModel }
        let call = MLflowCall.get(registry.api("registered-models/get"), [("name", name.rawValue)], of: "registered model \(name)")
        guard let answer = try await find(Answer.self, call) else { return nil }
        return try entity(call) { try answer.registeredModel.entity() }
    }

    /// Deleted versions are not listed.
    public func versions(of model: ModelName, _ page: PageToken?) async throws -> Page<ModelVersion> {
        if registry == .unityCatalog { return try await unityVersions(of: model) }
        // Databricks and Azure ML name other columns for an order: all are read, and put in order here.
        let isOrdered = !dialect.registersLater && !dialect.registersOwnFilesOnly
        guard let name = SearchFilter.quote(model.rawValue) else { return try await versionsOneByOne(of: model) }
        let listing = Listing<WireModelVersion, ListedVersion>(
            member: "model_versions", kind: .registeredModel, id: ["name"], convert: { try ListedVersion($0) },
            call: { size, page in
                let order: [(String, String)] = isOrdered ? [("order_by", "version_number ASC")] : []
                let query =
                    [("filter", "name = \(name)"), ("max_results", String(size))] + order
                    + (page.map { [("page_token", $0.rawValue)] } ?? [])
                return .get(MLflowCall.api("model-versions/search"), query, of: "the versions of registered model \(model)")
            })
        var listed = try await self.page(listing, size: 1000, page)
        let isOnePage = listed.next == nil || isOrdered
        // What is held back depends on all before it, whatever order the server knows.
        while !isOrdered, let next = listed.next {
            let more = try await self.page(listing, size: 1000, next)
            listed = Page(listed.elements + more.elements, undecodable: listed.undecodable + more.undecodable, next: more.next)
        }
        // Some data bases compare texts without case.
        listed.elements.removeAll { $0.version.model != model }
        if !isOnePage { try requireOnce(listed.elements, of: model) }
        if !isOrdered { listed.elements.sort { $0.version.number < $1.version.number } }
        let versions = dialect.registersLater ? ready(listed.elements, of: model) : listed.elements.map(\.version)
        return Page(versions, undecodable: listed.undecodable, next: listed.next)
    }

    /// A version as it is listed.
    struct ListedVersion: Sendable {
        var version: ModelVersion
        /// Milliseconds since 1970.
        var createdAt: Int64?

        init(_ wire: WireModelVersion) throws {
            version = try wire.entity()
            createdAt = wire.creationTimestamp?.value
        }
    }

    /// Without an order a page may shift under the reading: one that comes twice tells of others that did not come at all.
    func requireOnce(_ listed: [ListedVersion], of model: ModelName) throws(StoreError) {
        guard Set(listed.map(\.version.number)).count < listed.count else { return }
        throw StoreError(
            .retry(after: nil), .truncated, "\(name): the versions of registered model \(model) changed while they were listed; ask again")
    }

    /// What can be copied. One that is pending holds back those after it: a number that is passed over here would be used up on the
    /// secondary. One that is pending for an hour was given up by who made it.
    ///
    /// - Parameter versions: by number.
    func ready(_ versions: [ListedVersion], of model: ModelName) -> [ModelVersion] {
        var ready: [ModelVersion] = []
        for listed in versions where listed.version.status != "FAILED_REGISTRATION" {
            guard listed.version.isPending else {
                ready.append(listed.version)
                continue
            }
            // Without a time it may have begun just now.
            let age = listed.createdAt.map { failure.now() - Double($0) / 1000 } ?? 0
            if age < 3600 {
                pendingModels.withLock { _ = $0.insert(model) }
                return ready
            }
        }
        pendingModels.withLock { _ = $0.remove(model) }
        return ready
    }

    /// For a name that the filter language cannot say: every number up to the newest is asked for.
    private func versionsOneByOne(of model: ModelName) async throws -> Page<ModelVersion> {
        struct Answer: Decodable {
            struct Model: Decodable { var latestVersions: [WireModelVersion]? }
            var registeredModel: Model
        }
        let call = MLflowCall.get(MLflowCall.api("registered-models/get"), [("name", model.rawValue)], of: "registered model \(model)")
        let newest = try await find(Answer.self, call)?.registeredModel.latestVersions?.compactMap { $0.version?.value }.max() ?? 0
        var versions: [ModelVersion] = []
        for number in 1...max(1, Int(newest)) {
            if let version = try await version(of: model, number) { versions.append(version) }
        }
        return Page(versions)
    }

    public func version(of model: ModelName, _ number: Int) async throws -> ModelVersion? {
        let call = MLflowCall.get(
            registry.api("model-versions/get"), [("name", model.rawValue), ("version", String(number))],
            of: "version \(number) of registered model \(model)")
        guard let answer = try await find(VersionAnswer.self, call) else { return nil }
        return try entity(call) { try answer.modelVersion.entity() }
    }

    private struct VersionAnswer: Decodable { var modelVersion: WireModelVersion }

    // MARK: - Models

    private struct ModelBody: Encodable, Sendable {
        var name: String
        var newName: String?
        var description: String?
        var tags: [WirePair]?
        var key: String?
        var value: String?
        var alias: String?
        var version: String?
    }

    public func createRegisteredModel(_ name: ModelName, description: String, tags: [Tag]) async throws {
        let body = ModelBody(name: name.rawValue, description: description, tags: tags.isEmpty ? nil : tags.pairs)
        try await send(.write(MLflowCall.api("registered-models/create"), body, of: "creating registered model \(name)"))
    }

    public func renameRegisteredModel(_ name: ModelName, to newName: ModelName) async throws {
        let body = ModelBody(name: name.rawValue, newName: newName.rawValue)
        let subject = "renaming registered model \(name) to \(newName)"
        try await send(.write(MLflowCall.api("registered-models/rename"), body, of: subject, duplicate: .exists))
    }

    public func setDescription(_ text: String, ofRegisteredModel name: ModelName) async throws {
        let body = ModelBody(name: name.rawValue, description: text)
        try await send(.write(MLflowCall.api("registered-models/update"), body, method: .patch, of: "describing registered model \(name)"))
    }

    public func setTag(_ tag: Tag, ofRegisteredModel name: ModelName) async throws {
        let body = ModelBody(name: name.rawValue, key: tag.key, value: tag.value)
        try await send(.write(MLflowCall.api("registered-models/set-tag"), body, of: "setting tag \(tag.key) of registered model \(name)"))
    }

    public func deleteTag(_ key: String, ofRegisteredModel name: ModelName) async throws {
        let body = ModelBody(name: name.rawValue, key: key)
        try await send(
            .write(
                MLflowCall.api("registered-models/delete-tag"), body, method: .delete, of: "deleting tag \(key) of registered model \(name)"
            ))
    }

    public func setAlias(_ alias: String, to version: Int, ofRegisteredModel name: ModelName) async throws {
        let body = ModelBody(name: name.rawValue, alias: alias, version: String(version))
        try await send(.write(MLflowCall.api("registered-models/alias"), body, of: "setting alias \(alias) of registered model \(name)"))
    }

    public func deleteAlias(_ alias: String, ofRegisteredModel name: ModelName) async throws {
        let body = ModelBody(name: name.rawValue, alias: alias)
        try await send(
            .write(
                MLflowCall.api("registered-models/alias"), body, method: .delete, of: "deleting alias \(alias) of registered model \(name)")
        )
    }

    public func deleteRegisteredModel(_ name: ModelName) async throws {
        let body = ModelBody(name: name.rawValue)
        try await send(.write(MLflowCall.api("registered-models/delete"), body, method: .delete, of: "deleting registered model \(name)"))
    }

    // MARK: - Versions

    private struct VersionBody: Encodable, Sendable {
        var name: String
        var version: String
        var description: String?
        var stage: String?
        var archiveExistingVersions: Bool?
        var key: String?
        var value: String?
    }

    public func createVersion(_ version: NewVersion) async throws -> Int {
        struct Body: Encodable, Sendable {
            var name: String
            var source: String
            var runId: String?
            var runLink: String?
            var modelId: String?
            var description: String
            var tags: [WirePair]?
        }
        let body = Body(
            name: version.model.rawValue, source: version.source, runId: version.run?.rawValue, runLink: version.runLink,
            modelId: version.loggedModel?.rawValue, description: version.description, tags: version.tags.isEmpty ? nil : version.tags.pairs
        )
        let call = try MLflowCall.write(
            MLflowCall.api("model-versions/create"), body, of: "creating a version of registered model \(version.model)")
        let answer = try decode(VersionAnswer.self, try await send(call), call)
        return try entity(call) { try answer.modelVersion.entity().number }
    }

    public func setDescription(_ text: String, ofVersion number: Int, of name: ModelName) async throws {
        let body = VersionBody(name: name.rawValue, version: String(number), description: text)
        try await send(.write(MLflowCall.api("model-versions/update"), body, method: .patch, of: "describing version \(number) of \(name)"))
    }

    /// Other versions keep their stage.
    public func setStage(_ stage: String, ofVersion number: Int, of name: ModelName) async throws {
        let body = VersionBody(name: name.rawValue, version: String(number), stage: stage, archiveExistingVersions: false)
        try await send(
            .write(MLflowCall.api("model-versions/transition-stage"), body, of: "setting the stage of version \(number) of \(name)"))
    }

    public func setTag(_ tag: Tag, ofVersion number: Int, of name: ModelName) async throws {
        let body = VersionBody(name: name.rawValue, version: String(number), key: tag.key, value: tag.value)
        try await send(
            .write(MLflowCall.api("model-versions/set-tag"), body, of: "setting tag \(tag.key) of version \(number) of \(name)"))
    }

    public func deleteTag(_ key: String, ofVersion number: Int, of name: ModelName) async throws {
        let body = VersionBody(name: name.rawValue, version: String(number), key: key)
        try await send(
            .write(
                MLflowCall.api("model-versions/delete-tag"), body, method: .delete,
                of: "deleting tag \(key) of version \(number) of \(name)"))
    }

    public func deleteVersion(_ number: Int, of name: ModelName) async throws {
        let body = VersionBody(name: name.rawValue, version: String(number))
        try await send(.write(MLflowCall.api("model-versions/delete"), body, method: .delete, of: "deleting version \(number) of \(name)"))
    }
}
