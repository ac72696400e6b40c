/// How much of one metric's history is on the secondary.
///
/// The digest is a sum over the points, so it grows with each point and does not depend on their order.
public struct SeriesMark: Sendable, Hashable {
    public var count: UInt64 = 0
    public var low: UInt64 = 0
    public var high: UInt64 = 0
    /// Of the last point in the primary's order.
    public var lastTimestamp: Int64 = 0
    public var lastStep: Int64 = 0
    public init() {}

    public static let empty = SeriesMark()

    public mutating func add(_ point: MetricPoint) {
        let value = point.value.isNaN ? 0x7ff8_dead_beef_0001 : (point.value == 0 ? 0 : point.value.bitPattern)
        let a = Self.mix(UInt64(bitPattern: point.timestamp) ^ 0x9e37_79b9_7f4a_7c15)
        let b = Self.mix(a ^ UInt64(bitPattern: point.step))
        let c = Self.mix(b ^ value)
        count += 1
        low &+= c
        high &+= Self.mix(c ^ 0xd1b5_4a32_d192_ed03 ^ a)
        lastTimestamp = point.timestamp
        lastStep = point.step
    }

    public func hasSamePoints(as other: SeriesMark) -> Bool { count == other.count && low == other.low && high == other.high }

    /// The finalizer of SplitMix64: every input bit reaches every output bit.
    private static func mix(_ x: UInt64) -> UInt64 {
        var z = x
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
