/// How much of one metric's history is on the secondary.
///
/// The digest is a sum over the points, so it grows with each point and does not depend on their order.
public struct SeriesMark: Sendable, Hashable {
    public var count: UInt64 = 0
    public var low: UInt64 = 0
    public var high: UInt64 = 0
    /// The last point by timestamp, step and value; meaningless while `count` is 0.
    public var last = MetricPoint(value: 0, timestamp: 0, step: 0)
    /// Of the metric's latest point as the run's record showed it when all this was written; nil when that is not known.
    public var latest: FieldDigest?
    public init() {}

    public static let empty = SeriesMark()

    public mutating func add(_ point: MetricPoint) {
        let value = point.value.isNaN ? 0x7ff8_dead_beef_0001 : (point.value == 0 ? 0 : point.value.bitPattern)
        let a = Self.mix(UInt64(bitPattern: point.timestamp) ^ 0x9e37_79b9_7f4a_7c15)
        let b = Self.mix(a ^ UInt64(bitPattern: point.step))
        let c = Self.mix(b ^ value)
        if count == 0 || last.precedesInHistory(point) { last = point }
        count += 1
        low &+= c
        high &+= Self.mix(c ^ 0xd1b5_4a32_d192_ed03 ^ a)
    }

    public mutating func add(_ points: [MetricPoint]) { for point in points { add(point) } }

    public func hasSamePoints(as other: SeriesMark) -> Bool { count == other.count && low == other.low && high == other.high }

    /// What `latest` is for a point.
    public static func digest(ofLatest point: MetricPoint) -> FieldDigest {
        FieldDigest("\(point.step) \(point.timestamp) \(point.value.isNaN ? "nan" : "\(point.value == 0 ? 0 : point.value)")")
    }

    /// `latest` when these points have come too, by MLflow's rule: the greatest by step, timestamp and value. Nil when it cannot be told.
    func latest(after new: [MetricPoint]) -> FieldDigest? {
        if new.isEmpty { return latest }
        guard let latest, latest == Self.digest(ofLatest: last) else { return nil }
        func rank(_ point: MetricPoint) -> (Int64, Int64, Double) { (point.step, point.timestamp, point.value.isNaN ? 0 : point.value) }
        return Self.digest(ofLatest: new.reduce(last) { rank($0) < rank($1) ? $1 : $0 })
    }

    /// The finalizer of SplitMix64: every input bit reaches every output bit.
    private static func mix(_ x: UInt64) -> UInt64 {
        var z = x
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
