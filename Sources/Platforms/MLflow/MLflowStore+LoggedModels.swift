import Curl
public import Replication

extension MLflowStore {
    private struct Order: Encodable, Sendable {
        var fieldName = "creation_timestamp"
        var ascending = true
    }

    private struct SearchBody: Encodable, Sendable {
        var experimentIds: [String]
        var filter: String?
        var maxResults: Int
        var orderBy: [Order]
        var pageToken: String?
    }

    /// Deleted ones are not listed: no call of MLflow's gives them. A server before MLflow 3 has none at all.
    public func loggedModels(in experiments: [ExperimentID], _ page: PageToken?) async throws -> Page<LoggedModel> {
        try await loggedModels(in: experiments, filter: nil, page)
    }

    public func newestLoggedModels(in experiments: [ExperimentID]) async throws -> [LoggedModel] {
        try await loggedModels(in: experiments, filter: nil, nil, Order(ascending: false)).elements
    }

    private func loggedModels(
        in experiments: [ExperimentID], filter: String?, _ page: PageToken?, _ order: Order = Order()
    ) async throws -> Page<LoggedModel> {
        guard !experiments.isEmpty, dialect.hasLoggedModels else { return Page([]) }
        let listing = Listing<WireLoggedModel, LoggedModel>(
            member: "models", kind: .loggedModel, id: ["info", "model_id"], convert: { try $0.entity() }, unknown: { $0.unknown = $1 },
            call: { size, page in
                let body = SearchBody(
                    experimentIds: experiments.map(\.rawValue), filter: filter, maxResults: size, orderBy: [order],
                    pageToken: page?.rawValue)
                return try .search(
                    MLflowCall.api("logged-models/search"), body,
                    of: "the logged models of experiment \(experiments.prefix(3).map(\.rawValue).joined(separator: ", "))")
            })
        do {
            // Databricks takes 50 at most; the default elsewhere is 100.
            return try await self.page(listing, size: 50, page)
        } catch let error as StoreError where error.reason == .unsupported && page == nil {
            try await confirmIsThere("logged models", error)
            return Page([])
        }
    }

    public func loggedModel(_ id: LoggedModelID) async throws -> LoggedModel? {
        let call = MLflowCall.get(path(id), of: "logged model \(id)")
        do {
            let body = try await send(call)
            let answer = try decode(Answer.self, body, call)
            var model = try entity(call) { try answer.model.entity() }
            model.unknown = carriedFields(in: body, at: "model", of: "models")
            return model
        } catch let error as StoreError where error.reason == .notFound {
            return nil
        } catch let error as StoreError where error.reason == .unsupported && !dialect.hasLoggedModels {
            return nil
        }
    }

    public func loggedModels(in experiments: [ExperimentID], tagged tag: Tag) async throws -> [LoggedModel] {
        // This filter knows single quotes alone (mlflow/utils/search_logged_model_utils.py); without one, all are looked through.
        let filter = SearchFilter.tag(tag, ["'"])
        var found: [LoggedModel] = []
        var token: PageToken?
        repeat {
            let page = try await loggedModels(in: experiments, filter: filter, token)
            found += page.elements.filter { $0.tags.contains(tag) }
            guard page.next == nil || page.next != token else { break }
            token = page.next
        } while token != nil
        return found
    }

    private struct Answer: Decodable { var model: WireLoggedModel }

    private func path(_ id: LoggedModelID, _ rest: String = "") -> String {
        MLflowCall.api("logged-models/\(PercentEncoding.encode(id.rawValue))\(rest)")
    }

    public func createLoggedModel(_ model: NewLoggedModel) async throws -> LoggedModel {
        struct Body: Encodable, Sendable {
            var experimentId: String
            var name: String
            var modelType: String?
            var sourceRunId: String?
            var params: [WirePair]?
            var tags: [WirePair]?
        }
        let body = Body(
            experimentId: model.experiment.rawValue, name: model.name, modelType: model.modelType,
            sourceRunId: model.sourceRun?.rawValue, params: model.params.isEmpty ? nil : model.params.pairs,
            tags: model.tags.isEmpty ? nil : model.tags.pairs)
        let call = try MLflowCall.write(
            MLflowCall.api("logged-models"), body, of: "creating logged model \(model.name) in experiment \(model.experiment)")
        let answer = try decode(Answer.self, try await send(call), call)
        return try entity(call) { try answer.model.entity() }
    }

    public func setStatus(_ status: LoggedModel.Status, ofLoggedModel id: LoggedModelID) async throws {
        struct Body: Encodable, Sendable {
            var modelId: String
            var status: String
        }
        let body = Body(modelId: id.rawValue, status: status.rawValue)
        try await send(.write(path(id), body, method: .patch, of: "setting the status of logged model \(id)"))
    }

    public func setTags(_ tags: [Tag], ofLoggedModel id: LoggedModelID) async throws {
        struct Body: Encodable, Sendable {
            var modelId: String
            var tags: [WirePair]
        }
        let body = Body(modelId: id.rawValue, tags: tags.pairs)
        try await send(.write(path(id, "/tags"), body, method: .patch, of: "setting tags of logged model \(id)"))
    }

    public func deleteTag(_ key: String, ofLoggedModel id: LoggedModelID) async throws {
        let path = path(id, "/tags/\(PercentEncoding.encode(key))")
        try await send(MLflowCall(method: .delete, path: path, subject: "deleting tag \(key) of logged model \(id)", isWrite: true))
    }

    /// A param that the model has already is `alreadyExists`, and then none of them is written.
    public func logParams(_ params: [Param], toLoggedModel id: LoggedModelID) async throws {
        struct Body: Encodable, Sendable {
            var modelId: String
            var params: [WirePair]
        }
        let body = Body(modelId: id.rawValue, params: params.pairs)
        try await send(.write(path(id, "/params"), body, of: "writing params of logged model \(id)", duplicate: .exists))
    }

    /// Goes through `log-batch`, whose points may name a model and a dataset. The run gets the points too, and a point that the run has
    /// already still reaches the model (`log_batch` of mlflow/store/tracking/sqlalchemy_store.py).
    ///
    /// In requests of 100 points: in a larger one, that server's handling of points that the model has already compares each hundred
    /// with all, and refuses. Sending a point again leaves one, so a failure half-way is repaired by doing it all again.
    public func logMetrics(_ metrics: [ModelMetric], ofLoggedModel id: LoggedModelID, toRun run: RunID) async throws {
        var rest = metrics[...]
        while !rest.isEmpty {
            let part = rest.prefix(100)
            rest = rest.dropFirst(100)
            let body = LogBatchEncoder.encode(run: run, model: id, metrics: part)
            try await logBatch(body, of: "writing metrics of logged model \(id) in run \(run)", duplicate: .exists)
        }
    }

    public func deleteLoggedModel(_ id: LoggedModelID) async throws {
        try await send(MLflowCall(method: .delete, path: path(id), subject: "deleting logged model \(id)", isWrite: true))
    }
}
