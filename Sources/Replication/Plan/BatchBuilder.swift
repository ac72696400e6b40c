/// Cuts a run's points, params and tags into log-batch bodies within the dialect's limits, keeping their order.
public struct BatchBuilder: Sendable {
    private let dialect: Dialect
    private var batch = RunBatch()
    private var bytes = 0
    /// Around the three lists and the run's id.
    private static let envelope = 200

    public init(_ dialect: Dialect) { self.dialect = dialect }

    /// Each `add` gives back a batch when the new item no longer fit into it.
    public mutating func add(_ row: MetricRow) -> RunBatch? {
        let full = makeRoom(Self.bytes(of: row), batch.metrics.count >= dialect.batchMetrics)
        batch.metrics.append(row)
        return full
    }
    public mutating func add(_ param: Param) -> RunBatch? {
        let full = makeRoom(Self.jsonLength(param.key) + Self.jsonLength(param.value) + 24, batch.params.count >= dialect.batchParams)
        batch.params.append(param)
        return full
    }
    public mutating func add(_ tag: Tag) -> RunBatch? {
        let full = makeRoom(Self.jsonLength(tag.key) + Self.jsonLength(tag.value) + 24, batch.tags.count >= dialect.batchTags)
        batch.tags.append(tag)
        return full
    }
    public mutating func finish() -> RunBatch? {
        defer {
            batch = RunBatch()
            bytes = 0
        }
        return batch.isEmpty ? nil : batch
    }

    private mutating func makeRoom(_ size: Int, _ listIsFull: Bool) -> RunBatch? {
        var full: RunBatch?
        if listIsFull || batch.count >= dialect.batchItems || bytes + size + Self.envelope > dialect.batchBytes { full = finish() }
        bytes += size
        return full
    }

    /// Longest double, timestamp and step in JSON, with their names.
    private static func bytes(of row: MetricRow) -> Int { jsonLength(row.key) + 120 }

    static func jsonLength(_ text: String) -> Int {
        var length = 2
        for byte in text.utf8 { length += byte < 32 ? 6 : (byte == 34 || byte == 92 ? 2 : 1) }
        return length
    }
}
