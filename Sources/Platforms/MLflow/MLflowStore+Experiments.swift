public import Replication

extension MLflowStore {
    /// By id, so that what is created meanwhile comes at the end and shifts no page. Databricks documents the name and the time of the last update:
    /// of these, the name is what seldom changes.
    private static let experimentOrders: [[String]?] = [["experiment_id ASC"], ["name ASC"], nil]

    public func experiments(_ page: PageToken?) async throws -> Page<Experiment> {
        var order = await memory.experimentOrder
        while true {
            do {
                return try await experiments(page, inOrder: Self.experimentOrders[order])
            } catch let error as StoreError where error.reason == .invalid && page == nil && dialect.mayNotOrderExperiments {
                guard order + 1 < Self.experimentOrders.count else { throw error }
                order += 1
                await memory.experimentsHaveOrder(order)
            }
        }
    }

    private func experiments(_ page: PageToken?, inOrder order: [String]?) async throws -> Page<Experiment> {
        struct Body: Encodable, Sendable {
            var maxResults: Int
            var pageToken: String?
            var orderBy: [String]?
            var viewType = "ALL"
        }
        let listing = Listing<WireExperiment, Experiment>(
            member: "experiments", kind: .experiment, id: ["experiment_id"], convert: { try $0.entity() },
            call: { size, page in
                try .search(
                    MLflowCall.api("experiments/search"),
                    Body(maxResults: size, pageToken: page?.rawValue, orderBy: order),
                    of: "the list of experiments")
            })
        return try await self.page(listing, size: 1000, page)
    }

    public func experiment(_ id: ExperimentID) async throws -> Experiment? {
        try await experiment(.get(MLflowCall.api("experiments/get"), [("experiment_id", id.rawValue)], of: "experiment \(id)"))
    }

    public func experiment(named name: String) async throws -> Experiment? {
        try await experiment(.get(MLflowCall.api("experiments/get-by-name"), [("experiment_name", name)], of: "experiment \(name)"))
    }

    private func experiment(_ call: MLflowCall) async throws -> Experiment? {
        struct Answer: Decodable { var experiment: WireExperiment }
        guard let answer = try await find(Answer.self, call) else { return nil }
        return try entity(call) { try answer.experiment.entity() }
    }

    public func createExperiment(name: String, tags: [Tag]) async throws -> ExperimentID {
        struct Body: Encodable, Sendable {
            var name: String
            var tags: [WirePair]
        }
        struct Answer: Decodable { var experimentId: String }
        let call = try MLflowCall.write(
            MLflowCall.api("experiments/create"), Body(name: name, tags: tags.pairs), of: "creating experiment \(name)")
        let id = try decode(Answer.self, try await send(call), call).experimentId
        return try entity(call) { ExperimentID(try required("experiment_id", id)) }
    }

    public func renameExperiment(_ id: ExperimentID, to name: String) async throws {
        struct Body: Encodable, Sendable {
            var experimentId: String
            var newName: String
        }
        let body = Body(experimentId: id.rawValue, newName: name)
        try await send(
            .write(MLflowCall.api("experiments/update"), body, of: "renaming experiment \(id) to \(name)", duplicate: .exists))
    }

    private struct TagBody: Encodable, Sendable {
        var experimentId: String
        var key: String
        var value: String?
    }

    public func setTag(_ tag: Tag, ofExperiment id: ExperimentID) async throws {
        let body = TagBody(experimentId: id.rawValue, key: tag.key, value: tag.value)
        try await send(.write(MLflowCall.api("experiments/set-experiment-tag"), body, of: "setting tag \(tag.key) of experiment \(id)"))
    }

    /// MLflow 2 has no such call: `unsupported`.
    public func deleteTag(_ key: String, ofExperiment id: ExperimentID) async throws {
        let body = TagBody(experimentId: id.rawValue, key: key)
        try await send(.write(MLflowCall.api("experiments/delete-experiment-tag"), body, of: "deleting tag \(key) of experiment \(id)"))
    }

    private struct IDBody: Encodable, Sendable { var experimentId: String }

    public func deleteExperiment(_ id: ExperimentID) async throws {
        try await send(.write(MLflowCall.api("experiments/delete"), IDBody(experimentId: id.rawValue), of: "deleting experiment \(id)"))
    }

    public func restoreExperiment(_ id: ExperimentID) async throws {
        try await send(.write(MLflowCall.api("experiments/restore"), IDBody(experimentId: id.rawValue), of: "restoring experiment \(id)"))
    }
}
