import Curl
public import Replication

extension MLflowStore {
    /// A listed run has everything but its model inputs: a server's search leaves them out (`_search_runs` of
    /// mlflow/store/tracking/sqlalchemy_store.py), and only `run` gives them.
    public func runs(_ query: RunQuery, _ page: PageToken?) async throws -> Page<Run> {
        guard !query.experiments.isEmpty else { return Page([]) }
        struct Body: Encodable, Sendable {
            var experimentIds: [String]
            var filter: String
            var runViewType: String
            var maxResults: Int
            // The server itself adds the run id, so that equal start times have one order.
            var orderBy = ["attributes.start_time ASC"]
            var pageToken: String?
        }
        var conditions: [String] = []
        if let from = query.startedFrom { conditions.append("attributes.start_time >= \(from)") }
        if let before = query.startedBefore { conditions.append("attributes.start_time < \(before)") }
        if query.isActive { conditions.append("attributes.status = 'RUNNING'") }
        if let ended = query.endedFrom { conditions.append("attributes.end_time >= \(ended)") }
        if let tag = query.tag {
            guard let condition = SearchFilter.tag(tag) else {
                throw StoreError(.setAside, .invalid, "\(name): tag \(tag.key) cannot be searched for: its text holds quotes of both kinds")
            }
            // Last: what follows a closing quote could be taken for part of the text.
            conditions.append(condition)
        }
        let filter = conditions.joined(separator: " AND ")
        let listing = Listing<WireRun, Run>(
            member: "runs", kind: .run, id: ["info", "run_id"], convert: { try $0.entity() }, unknown: { $0.unknown = $1 },
            call: { size, page in
                try .search(
                    MLflowCall.api("runs/search"),
                    Body(
                        experimentIds: query.experiments.map(\.rawValue), filter: filter,
                        runViewType: query.isActive ? "ACTIVE_ONLY" : "ALL", maxResults: size, pageToken: page?.rawValue),
                    of: "the runs of experiment \(query.experiments.prefix(3).map(\.rawValue).joined(separator: ", "))")
            })
        var answer = try await self.page(listing, size: max(1, min(query.pageSize, 50000)), page)
        // Some data bases compare texts without case.
        if let tag = query.tag { answer.elements.removeAll { !$0.tags.contains(tag) } }
        return answer
    }

    public func run(_ id: RunID) async throws -> Run? {
        struct Answer: Decodable { var run: WireRun }
        let call = MLflowCall.get(MLflowCall.api("runs/get"), [("run_id", id.rawValue)], of: "run \(id)")
        do {
            let body = try await send(call)
            let answer = try decode(Answer.self, body, call)
            var run = try entity(call) { try answer.run.entity() }
            run.unknown = carriedFields(in: body, at: "run", of: "runs")
            return run
        } catch let error as StoreError where error.reason == .notFound {
            return nil
        }
    }

    public func createRun(_ run: NewRun) async throws -> Run {
        struct Body: Encodable, Sendable {
            var experimentId: String
            var userId: String
            var runName: String
            var startTime: Int64
            var tags: [WirePair]
        }
        struct Answer: Decodable { var run: WireRun }
        let body = Body(
            experimentId: run.experiment.rawValue, userId: run.userID, runName: run.name, startTime: run.startTime,
            tags: run.tags.pairs)
        let call = try MLflowCall.write(MLflowCall.api("runs/create"), body, of: "creating a run in experiment \(run.experiment)")
        let answer = try decode(Answer.self, try await send(call), call)
        return try entity(call) { try answer.run.entity() }
    }

    public func updateRun(_ id: RunID, status: Run.Status?, endTime: Int64?, name: String?) async throws {
        struct Body: Encodable, Sendable {
            var runId: String
            var status: String?
            var endTime: Int64?
            var runName: String?
        }
        let body = Body(runId: id.rawValue, status: status?.rawValue, endTime: endTime, runName: name)
        try await send(.write(MLflowCall.api("runs/update"), body, of: "updating run \(id)"))
    }

    public func logBatch(_ batch: RunBatch, toRun id: RunID) async throws {
        try await logBatch(LogBatchEncoder.encode(run: id, batch: batch), of: "writing to run \(id)")
    }

    func logBatch(_ body: [UInt8], of subject: String, duplicate: MLflowCall.Duplicate = .raced) async throws {
        guard body.count <= dialect.batchBytes else {
            throw StoreError(
                .setAside, .tooLarge, "\(name), \(subject): \(body.count) bytes are more than one batch may hold (\(dialect.batchBytes))")
        }
        try await send(
            MLflowCall(
                method: .post, path: MLflowCall.api("runs/log-batch"), body: body, subject: subject, isWrite: true, duplicate: duplicate))
    }

    public func deleteTag(_ key: String, ofRun id: RunID) async throws {
        struct Body: Encodable, Sendable {
            var runId: String
            var key: String
        }
        try await send(
            .write(MLflowCall.api("runs/delete-tag"), Body(runId: id.rawValue, key: key), of: "deleting tag \(key) of run \(id)"))
    }

    public func logInputs(datasets: [DatasetInput], models: [LoggedModelID], toRun id: RunID) async throws {
        struct Body: Encodable, Sendable {
            var runId: String
            var datasets: [WireDatasetInput]?
            var models: [WireModelInput]?
        }
        let body = Body(
            runId: id.rawValue, datasets: datasets.isEmpty ? nil : datasets.map { WireDatasetInput($0) },
            models: models.isEmpty ? nil : models.map { WireModelInput(modelId: $0.rawValue) })
        try await send(.write(MLflowCall.api("runs/log-inputs"), body, of: "writing inputs of run \(id)"))
    }

    /// An output that the run has already is `alreadyExists`, and then none of them is written.
    public func logOutputs(_ outputs: [ModelOutput], toRun id: RunID) async throws {
        struct Output: Encodable, Sendable {
            var modelId: String
            var step: Int64
        }
        struct Body: Encodable, Sendable {
            var runId: String
            var models: [Output]
        }
        let body = Body(runId: id.rawValue, models: outputs.map { Output(modelId: $0.model.rawValue, step: $0.step) })
        try await send(.write(MLflowCall.api("runs/outputs"), body, of: "writing outputs of run \(id)", duplicate: .exists))
    }

    private struct IDBody: Encodable, Sendable { var runId: String }

    public func deleteRun(_ id: RunID) async throws {
        try await send(.write(MLflowCall.api("runs/delete"), IDBody(runId: id.rawValue), of: "deleting run \(id)"))
    }

    public func restoreRun(_ id: RunID) async throws {
        try await send(.write(MLflowCall.api("runs/restore"), IDBody(runId: id.rawValue), of: "restoring run \(id)"))
    }
}
