/// The points that the secondary has of one series, to be crossed off. 25 bytes a point.
struct PointBag: Sendable {
    private var points: [MetricPoint] = []
    private var isCrossedOff: [Bool] = []
    private var isSorted = true

    mutating func add(_ more: [MetricPoint]) {
        points += more
        isSorted = false
    }

    /// True when an equal point was there and had not been crossed off. NaN equals NaN.
    mutating func remove(_ point: MetricPoint) -> Bool {
        if !isSorted {
            points.sort(by: Self.precedes)
            isCrossedOff = Array(repeating: false, count: points.count)
            isSorted = true
        }
        var low = 0
        var high = points.count
        while low < high {
            let middle = (low + high) / 2
            if Self.precedes(points[middle], point) { low = middle + 1 } else { high = middle }
        }
        while low < points.count, !Self.precedes(point, points[low]) {
            if !isCrossedOff[low] {
                isCrossedOff[low] = true
                return true
            }
            low += 1
        }
        return false
    }

    /// How many were never crossed off: the secondary alone has them.
    var remaining: Int { isCrossedOff.isEmpty ? points.count : isCrossedOff.count { !$0 } }

    static func precedes(_ a: MetricPoint, _ b: MetricPoint) -> Bool {
        if a.timestamp != b.timestamp { return a.timestamp < b.timestamp }
        if a.step != b.step { return a.step < b.step }
        return rank(a.value) < rank(b.value)
    }

    /// Orders every double, NaN last, both zeros alike.
    private static func rank(_ value: Double) -> (Int, Double) { value.isNaN ? (1, 0) : (0, value) }
}
