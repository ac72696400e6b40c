import Replication

/// Where registered models are asked for.
enum RegistryRoute: Sendable, Hashable {
    /// As on an MLflow server.
    case own
    /// Of Databricks: names of three parts, aliases, no stages.
    case unityCatalog

    func api(_ path: String) -> String {
        switch self {
        case .own: MLflowCall.api(path)
        case .unityCatalog: MLflowCall.api("unity-catalog/\(path)")
        }
    }

    /// What a report calls its models where they are left out, and what is set to have them copied instead.
    var models: String {
        switch self {
        case .own: "registered models of the workspace's own registry (primary.registry: databricks)"
        case .unityCatalog: "registered models of Unity Catalog (primary.registry: databricks-uc)"
        }
    }
}

/// As mlflow 3.18 reads Unity Catalog (`store/_unity_catalog/registry/rest_store.py`): a search leaves out tags and aliases, and knows no order.
extension MLflowStore {
    /// Most that a search gives at once.
    private static let unityPage = 100

    /// - Parameter mayKnow: some may be as they were when they were read last.
    func unityModels(_ page: PageToken?, mayKnow: Bool = false) async throws -> Page<RegisteredModel> {
        let listing = Listing<WireRegisteredModel, RegisteredModel>(
            member: "registered_models", kind: .registeredModel, id: ["name"], convert: { try $0.entity() },
            call: { size, page in
                let query = [("max_results", String(size))] + (page.map { [("page_token", $0.rawValue)] } ?? [])
                return .get(RegistryRoute.unityCatalog.api("registered-models/search"), query, of: "the list of registered models")
            })
        var answer: Page<RegisteredModel>
        do { answer = try await self.page(listing, size: Self.unityPage, page) } catch let error as StoreError
            where error.reason == .unsupported
        {
            // Somebody has asked for it: an empty one would be copied without a word.
            throw StoreError(
                .stop, .unsupported, "\(name): Unity Catalog does not answer there (\(error.message)); use registry: databricks",
                exchange: error.exchange)
        }
        let listed = answer.elements
        var due = listed
        var known: [ModelName: RegisteredModel] = [:]
        if mayKnow { (due, known) = knownModels.withLock { $0.sorted(listed) } }
        let found = try await each(due, &answer.undecodable) {
            try await registeredModel($0.name)
        } id: {
            $0.name.rawValue
        }
        let read = Dictionary(found.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        knownModels.withLock { $0.note(due, read: read) }
        answer.elements = listed.compactMap { read[$0.name] ?? known[$0.name] }
        return answer
    }

    /// All of them, ascending by number: one page.
    func unityVersions(of model: ModelName) async throws -> Page<ModelVersion> {
        guard let name = SearchFilter.quote(model.rawValue) else {
            throw StoreError(
                .setAside, .invalid, "\(self.name): the versions of \(model) cannot be searched for: its name holds quotes of both kinds")
        }
        let listing = Listing<WireModelVersion, ListedVersion>(
            member: "model_versions", kind: .registeredModel, id: ["name"], convert: { try ListedVersion($0) },
            call: { size, page in
                let query =
                    [("filter", "name = \(name)"), ("max_results", String(size))] + (page.map { [("page_token", $0.rawValue)] } ?? [])
                return .get(
                    RegistryRoute.unityCatalog.api("model-versions/search"), query, of: "the versions of registered model \(model)")
            })
        var listed: [ListedVersion] = []
        var answer = Page<ModelVersion>([])
        var token: PageToken?
        repeat {
            let page = try await self.page(listing, size: Self.unityPage, token)
            listed += page.elements
            answer.undecodable += page.undecodable
            guard page.next == nil || page.next != token else { break }
            token = page.next
        } while token != nil
        listed.removeAll { $0.version.model != model }
        try requireOnce(listed, of: model)
        let ready = ready(listed.sorted { $0.version.number < $1.version.number }, of: model)
        answer.elements = try await each(ready, &answer.undecodable) {
            try await version(of: model, $0.number)
        } id: {
            "\(model) version \($0.number)"
        }
        return answer
    }

    /// Eight at a time; what is gone meanwhile is left out. One that is refused, because it may be listed and not read, is set aside alone.
    private func each<Element: Sendable>(
        _ elements: [Element], _ refused: inout [Undecodable], _ read: @escaping @Sendable (Element) async throws -> Element?,
        id: (Element) -> String
    ) async throws -> [Element] {
        var found: [Int: Element] = [:]
        try await withThrowingTaskGroup(of: (Int, Result<Element?, StoreError>).self) { group in
            var rest = elements.enumerated().makeIterator()
            func addNext() {
                guard let (index, element) = rest.next() else { return }
                group.addTask {
                    do { return (index, .success(try await read(element))) } catch let error as StoreError
                        where error.decision == .setAside
                    {
                        return (index, .failure(error))
                    }
                }
            }
            for _ in 0..<8 { addNext() }
            while let (index, answer) = try await group.next() {
                switch answer {
                case .success(let element): found[index] = element
                case .failure(let error):
                    refused.append(Undecodable(kind: .registeredModel, id: id(elements[index]), reason: error.message))
                }
                addNext()
            }
        }
        return found.sorted { $0.key < $1.key }.map(\.value)
    }
}
