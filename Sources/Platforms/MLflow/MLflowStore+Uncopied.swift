import Curl
public import Replication

extension MLflowStore {
    /// Traces: with one request where the server can count (3.7 and later), else by listing the first 5,000.
    public func uncopied(in experiments: [ExperimentID]) async throws -> [String: Int] {
        guard !experiments.isEmpty else { return [:] }
        do {
            if let traces = try await countedTraces(experiments) { return ["traces": traces] }
            return try await listedTraces(experiments)
        } catch let error as StoreError where error.decision == .setAside || error.reason == .serverFailure {
            // A server before 2.14 has none; a number for the report is not worth failing for.
            return [:]
        }
    }

    private func countedTraces(_ experiments: [ExperimentID]) async throws -> Int? {
        struct Query: Encodable, Sendable {
            struct Aggregation: Encodable, Sendable { var aggregationType = "COUNT" }
            var experimentIds: [String]
            var viewType = "TRACES"
            var metricName = "trace_count"
            var aggregations = [Aggregation()]
        }
        struct Answer: Decodable {
            struct Point: Decodable { var values: [String: Double]? }
            var dataPoints: [Point]?
        }
        let call = try MLflowCall.search(
            "/api/3.0/mlflow/traces/metrics", Query(experimentIds: experiments.map(\.rawValue)), of: "the number of traces")
        do {
            let answer = try decode(Answer.self, try await send(call), call)
            let counts = (answer.dataPoints ?? []).compactMap { $0.values?["COUNT"] }.filter { $0 >= 0 && $0 < 1e15 }
            return Int(counts.reduce(0, +))
        } catch let error as StoreError where error.decision == .setAside {
            return nil
        }
    }

    private func listedTraces(_ experiments: [ExperimentID]) async throws -> [String: Int] {
        let experiments = experiments.map { ("experiment_ids", $0.rawValue) }
        return try await count("traces", member: "traces", size: 500) { MLflowCall.get(MLflowCall.api("traces"), experiments + $0, of: $1) }
    }

    /// Prompts, which the registry keeps as models and lists only when asked for them; and the models of a registry that is not the one that
    /// is copied. Two requests, where the first pages hold any.
    public func uncopiedModels() async throws -> [String: Int] {
        var found: [String: Int] = [:]
        if registry == .own {
            found = try await countOrNothing {
                try await count("prompts", member: "registered_models", size: 1000) {
                    let filter = ("filter", "tags.`mlflow.prompt.is_prompt` = 'true'")
                    return MLflowCall.get(MLflowCall.api("registered-models/search"), [filter] + $0, of: $1)
                }
            }
        }
        if let other = otherRegistry {
            let there = try await countOrNothing {
                try await count(other.models, member: "registered_models", size: 100, isBrief: true) {
                    MLflowCall.get(other.api("registered-models/search"), $0, of: $1)
                }
            }
            found.merge(there) { $1 }
        }
        return found
    }

    /// What is closed to us, switched off or not there has nothing; and a number for the report is not worth failing for.
    private func countOrNothing(_ count: () async throws -> [String: Int]) async throws -> [String: Int] {
        do { return try await count() } catch let error as StoreError where error.decision == .setAside || error.reason == .serverFailure {
            return [:]
        }
    }

    /// Counts a listing's first ten pages.
    ///
    /// - Parameter isBrief: no further than the first page that holds any.
    private func count(
        _ what: String, member: String, size: Int, isBrief: Bool = false,
        _ call: @escaping @Sendable ([(String, String)], _ subject: String) -> MLflowCall
    ) async throws -> [String: Int] {
        struct Thing: Decodable {}
        let listing = Listing<Thing, Thing>(
            member: member, kind: .registeredModel, id: [], convert: { $0 },
            call: { size, page in
                call([("max_results", String(size))] + (page.map { [("page_token", $0.rawValue)] } ?? []), "the list of \(what)")
            })
        var count = 0
        var token: PageToken?
        for _ in 0..<10 {
            let page = try await page(listing, size: size, token)
            count += page.elements.count + page.undecodable.count
            token = page.next
            if token == nil { return [what: count] }
            if isBrief, count > 0 { break }
        }
        return ["\(what) (at least)": count]
    }
}
