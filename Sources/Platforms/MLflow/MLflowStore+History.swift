import Curl
import Foundation
public import Replication

extension MLflowStore {
    /// A server takes a second for a full page: the first is small, so that what is done with it begins meanwhile.
    private static let firstPage = 2500

    /// Most points of one history that are held at a time, when it comes from the data base: 48 MB.
    private static let databaseHistory = 2_000_000

    /// Servers from MLflow 3 on answer in pages, earlier ones ignore the page size and answer with everything: both are told by the
    /// answer itself. Memory: one answer's points, 24 bytes each.
    public func history(of run: RunID, metric: String, _ receive: @Sendable ([MetricPoint]) async throws -> Void) async throws {
        // A copy of the server's file, or one that is read while it is replaced, may lag behind what the server shows.
        if let database, let latest = try await self.run(run)?.latestMetrics.first(where: { $0.key == metric }),
            let points = try await database.history(of: run, metric: metric, limit: Self.databaseHistory), points.shows(latest.point)
        {
            return try await hand(points, to: receive)
        }
        try await history(of: run, metric: metric, page: nil, receive)
    }

    public func histories(of run: RunID, limit: Int) async throws -> [FieldDigest: [MetricPoint]]? {
        try await database?.histories(of: run, limit: limit)
    }

    private func hand(_ points: [MetricPoint], to receive: @Sendable ([MetricPoint]) async throws -> Void) async throws {
        var rest = points[...]
        while !rest.isEmpty {
            try Task.checkCancellation()
            try await receive(Array(rest.prefix(dialect.historyPage)))
            rest = rest.dropFirst(dialect.historyPage)
        }
    }

    /// The server's page tokens are `{"offset": N}` in base64, over the order (timestamp, step, value) (`create_page_token` of
    /// mlflow/utils/search_utils.py, `get_metric_history` of mlflow/store/tracking/sqlalchemy_store.py, MLflow 3.17). Earlier servers refuse
    /// one, or answer with everything: the caller compares what comes first.
    public func history(
        of run: RunID, metric: String, fromPlace place: Int, _ receive: @Sendable ([MetricPoint]) async throws -> Void
    ) async throws -> Bool {
        guard await memory.knowsPlaces else { return false }
        let hasBegun = Locked(false)
        do {
            let token = place == 0 ? nil : Data("{\"offset\": \(place)}".utf8).base64EncodedString()
            try await history(of: run, metric: metric, page: token) { points in
                hasBegun.withLock { $0 = true }
                try await receive(points)
            }
            await memory.placeAnswered()
            return true
        } catch let error as StoreError where !hasBegun.withLock({ $0 }) && error.reason != .unreachable && error.reason != .throttled {
            await memory.placeRefused()
            return false
        }
    }

    public func history(
        of run: RunID, metric: String, since: Int64, _ receive: @Sendable ([MetricPoint]) async throws -> Void
    ) async throws {
        guard let database else {
            throw StoreError(.setAside, .unsupported, "\(name): a history by time can only be read from its data base")
        }
        try await database.points(of: run, metric: metric, since: since, receive)
    }

    private func history(
        of run: RunID, metric: String, page first: String?, _ receive: @Sendable ([MetricPoint]) async throws -> Void
    ) async throws {
        var page = first
        var last: MetricPoint?
        // Where a token is a place, the size of a page means nothing to it.
        var size = await memory.knowsPlaces && dialect.readsHistoryFromPlace ? Self.firstPage : dialect.historyPage
        repeat {
            var query = [("run_id", run.rawValue), ("metric_key", metric), ("max_results", String(size))]
            size = dialect.historyPage
            if let page { query.append(("page_token", page)) }
            let call = MLflowCall.get(MLflowCall.api("metrics/get-history"), query, of: "metric \(metric) of run \(run)")
            let (answer, next) = try await readHistory(call, into: [MetricPoint]()) { points, _, point in points.append(point) }
            var points = answer.inHistoryOrder
            // A point written before this page's start meanwhile pushes the last page's last point onto this page.
            // Where points can be there twice, it may be another one.
            if dialect.metricsAreIdempotent, let last, let first = points.first, first.isSameInHistory(as: last) { points.removeFirst() }
            last = points.last ?? last
            try await hand(points, to: receive)
            guard next == nil || next != page else { throw failure.malformed(call, "the same page twice") }
            page = next
        } while page != nil
    }

    /// The answer holds the runs in the order of their ids, cut off at a number of points: a full answer's last run is left out.
    public func histories(of runs: [RunID], metric: String) async throws -> [RunID: [MetricPoint]]? {
        guard dialect.bulkHistoryRuns > 0, await memory.hasBulkHistory else { return nil }
        let asked = Set(runs)
        guard !asked.isEmpty else { return [:] }
        let query =
            asked.sorted().map { ("run_id", $0.rawValue) } + [("metric_key", metric), ("max_results", String(dialect.bulkHistoryPoints))]
        let call = MLflowCall.get(MLflowCall.ajax("metrics/get-history-bulk"), query, of: "metric \(metric) of \(asked.count) runs")
        var found: BulkHistory
        do {
            found = try await readHistory(call, into: BulkHistory()) { found, run, point in found.append(run, point) }.0
        } catch let error as StoreError where error.reason == .unsupported || error.reason == .notFound {
            await memory.bulkHistoryIsMissing()
            return nil
        }
        let last = found.lastRun
        var answer = found.close()
        if found.count >= dialect.bulkHistoryPoints { answer[last] = nil }
        return answer.filter { asked.contains($0.key) }.mapValues(\.inHistoryOrder)
    }

    /// Feeds an answer to the parser while it arrives.
    private func readHistory<Result: Sendable>(
        _ call: MLflowCall, into empty: Result, _ add: @Sendable @escaping (inout Result, UnsafeBufferPointer<UInt8>, MetricPoint) -> Void
    ) async throws -> (Result, next: String?) {
        try await repeating(call) { try await readHistoryOnce(call, into: empty, add) }
    }

    private func readHistoryOnce<Result: Sendable>(
        _ call: MLflowCall, into empty: Result, _ add: @Sendable @escaping (inout Result, UnsafeBufferPointer<UInt8>, MetricPoint) -> Void
    ) async throws -> (Result, next: String?) {
        try Task.checkCancellation()
        return try await authorized(call) { try await readHistory(call, $0, into: empty, add) }
    }

    private func readHistory<Result: Sendable>(
        _ call: MLflowCall, _ request: HTTPRequest, into empty: Result,
        _ add: @Sendable @escaping (inout Result, UnsafeBufferPointer<UInt8>, MetricPoint) -> Void
    ) async throws -> (Result, next: String?) {
        do {
            return try await client.withResponse(request) { response in
                guard (200..<300).contains(response.status) else {
                    let body = try await response.collect(limit: 1 << 20)
                    throw failure.error(call, status: response.status, headers: response.headers, body: body)
                }
                var parser = MetricHistoryParser()
                var result = empty
                var head: [UInt8] = []
                do {
                    while let chunk = try await response.next() {
                        if head.count < 300 { head += chunk.prefix(300) }
                        try parser.feed(chunk) { run, point in add(&result, run, point) }
                    }
                    try parser.finish { run, point in add(&result, run, point) }
                } catch let error as MetricHistoryParser.Failure {
                    guard error != .cutShort || head.first(where: { $0 > 0x20 }) == UInt8(ascii: "<") else {
                        throw failure.truncated(call, error.description)
                    }
                    throw failure.malformed(call, headers: response.headers, body: head, error.description)
                }
                return (result, parser.nextPageToken.flatMap { $0.isEmpty ? nil : $0 })
            }
        } catch let error as HTTPError {
            throw failure.thrown(call, error)
        }
    }
}

/// Points of several runs as they come: one run after the other.
private struct BulkHistory: Sendable {
    private(set) var count = 0
    private var run: [UInt8] = []
    private var points: [MetricPoint] = []
    private var done: [RunID: [MetricPoint]] = [:]

    /// Whose points came last: by whatever order the data base has.
    var lastRun: RunID { RunID(String(decoding: run, as: UTF8.self)) }

    mutating func append(_ run: UnsafeBufferPointer<UInt8>, _ point: MetricPoint) {
        if !run.elementsEqual(self.run) {
            flush()
            self.run = Array(run)
        }
        points.append(point)
        count += 1
    }

    private mutating func flush() {
        guard !points.isEmpty else { return }
        done[RunID(String(decoding: run, as: UTF8.self)), default: []] += points
        points = []
    }

    mutating func close() -> [RunID: [MetricPoint]] {
        flush()
        return done
    }
}

extension [MetricPoint] {
    /// Most stores give them so: looking costs less than sorting.
    var inHistoryOrder: [MetricPoint] { isSortedAsHistory ? self : sorted { $0.precedesInHistory($1) } }

    private var isSortedAsHistory: Bool {
        var previous: MetricPoint?
        for point in self {
            if let previous, point.precedesInHistory(previous) { return false }
            previous = point
        }
        return true
    }
}
