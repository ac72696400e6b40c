/// One point of a metric's history. Two points may share timestamp and step.
public struct MetricPoint: Sendable, Hashable {
    public var value: Double
    /// Milliseconds since 1970, as the client gave it: not the time of writing.
    public var timestamp: Int64
    public var step: Int64
    public init(value: Double, timestamp: Int64, step: Int64) {
        self.value = value
        self.timestamp = timestamp
        self.step = step
    }
}

extension MetricPoint {
    /// By timestamp, step and value, as MLflow's SQL store orders a history. It keeps NaN as the value 0 with a mark.
    public func precedesInHistory(_ other: MetricPoint) -> Bool {
        if timestamp != other.timestamp { return timestamp < other.timestamp }
        if step != other.step { return step < other.step }
        let (a, b) = (value.isNaN ? 0 : value, other.value.isNaN ? 0 : other.value)
        return a == b ? !value.isNaN && other.value.isNaN : a < b
    }

    /// Neither precedes the other where NaN counts as zero.
    func ranksAlike(_ other: MetricPoint) -> Bool {
        timestamp == other.timestamp && step == other.step && (value.isNaN ? 0 : value) == (other.value.isNaN ? 0 : other.value)
    }

    public func isSameInHistory(as other: MetricPoint) -> Bool {
        timestamp == other.timestamp && step == other.step && (value == other.value || value.isNaN && other.value.isNaN)
    }
}

extension [MetricPoint] {
    /// Whether a history has come as far as a record that shows this as the latest point.
    public func shows(_ latest: MetricPoint) -> Bool { reversed().contains { $0.isSameInHistory(as: latest) } }
}

/// A metric's latest point, as a run's record shows it.
public struct LatestMetric: Sendable, Hashable {
    public var key: String
    public var point: MetricPoint
    public init(key: String, point: MetricPoint) {
        self.key = key
        self.point = point
    }
}

/// A metric that belongs to a logged model: one point of one run, with the dataset it was measured on.
public struct ModelMetric: Sendable, Hashable {
    public var key: String
    public var point: MetricPoint
    public var run: RunID
    public var datasetName: String?
    public var datasetDigest: String?
    public init(key: String, point: MetricPoint, run: RunID, datasetName: String? = nil, datasetDigest: String? = nil) {
        self.key = key
        self.point = point
        self.run = run
        self.datasetName = datasetName
        self.datasetDigest = datasetDigest
    }
}
