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
        struct Answer: Decodable {
            struct Trace: Decodable {}
            var traces: [Trace]?
            var nextPageToken: String?
        }
        var count = 0
        var token: String?
        for _ in 0..<10 {
            let query =
                experiments.map { ("experiment_ids", $0.rawValue) } + [("max_results", "500")] + (token.map { [("page_token", $0)] } ?? [])
            let call = MLflowCall.get(MLflowCall.api("traces"), query, of: "the list of traces")
            let answer = try decode(Answer.self, try await send(call), call)
            count += answer.traces?.count ?? 0
            token = answer.nextPageToken.nonEmpty
            if token == nil { return ["traces": count] }
        }
        return ["traces (at least)": count]
    }

    /// Prompts, which the registry keeps as models and lists only when asked for them.
    public func uncopiedModels() async throws -> [String: Int] {
        struct Answer: Decodable {
            struct Prompt: Decodable {}
            var registeredModels: [Prompt]?
            var nextPageToken: String?
        }
        var count = 0
        var token: String?
        do {
            for _ in 0..<10 {
                let query =
                    [("filter", "tags.`mlflow.prompt.is_prompt` = 'true'"), ("max_results", "1000")]
                    + (token.map { [("page_token", $0)] } ?? [])
                let call = MLflowCall.get(MLflowCall.api("registered-models/search"), query, of: "the list of prompts")
                let answer = try decode(Answer.self, try await send(call), call)
                count += answer.registeredModels?.count ?? 0
                token = answer.nextPageToken.nonEmpty
                if token == nil { return ["prompts": count] }
            }
            return ["prompts (at least)": count]
        } catch let error as StoreError where error.decision == .setAside || error.reason == .serverFailure {
            return [:]
        }
    }
}
