/// An entity as it was last written to the secondary: one digest a field, no values.
public struct Base: Sendable, Hashable {
    /// Field name's digest to value's digest.
    public var fields: [FieldDigest: FieldDigest]
    /// Metric key's digest to how much of its history was written. Runs only.
    public var series: [FieldDigest: SeriesMark]

    public init(fields: [FieldDigest: FieldDigest] = [:], series: [FieldDigest: SeriesMark] = [:]) {
        self.fields = fields
        self.series = series
    }

    public subscript(_ field: Field) -> FieldDigest? {
        get { fields[field.digest] }
        set { fields[field.digest] = newValue }
    }

    /// The name of one field of an entity.
    public struct Field: Sendable, Hashable, CustomStringConvertible {
        public let description: String
        public init(_ name: String) { description = name }
        public var digest: FieldDigest { FieldDigest(description) }
        /// Set when the entity was found by its stamp: its files may be there without being in the manifest.
        public static let adopted = Field("adopted")
        /// Out of scope, and copied because something in scope cannot do without it.
        static let brought = Field("brought")
        /// The document of its unknown fields.
        static let unknown = Field("unknown_fields")
        /// The primary has said that it is gone there for good.
        static let purged = Field("purged")
        /// Somebody else's experiment or model, ours added beside what is there: it is never deleted, restored or renamed.
        static let foreign = Field("foreign")
        /// Deleted on the secondary by somebody: also when the primary's is deleted later, and returns, it stays so.
        static let deletedByOthers = Field("deleted_by_others")
        public static func tag(_ key: String) -> Field { Field("tag:" + key) }
        public static func param(_ key: String) -> Field { Field("param:" + key) }
    }
}

// MARK: On disk

extension Base {
    private static let format: UInt64 = 2
    private static let wordsPerSeries = 8

    /// Eight-byte little-endian words: format, field count, pairs, series count, eight words each. Sorted, so equal bases are equal bytes.
    func encoded() -> [UInt8] {
        var words: [UInt64] = [Self.format, UInt64(fields.count)]
        words.reserveCapacity(3 + fields.count * 2 + series.count * Self.wordsPerSeries)
        for (name, value) in fields.sorted(by: { $0.key.rawValue < $1.key.rawValue }) { words += [name.rawValue, value.rawValue] }
        words.append(UInt64(series.count))
        for (key, mark) in series.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            words += [
                key.rawValue, mark.count, mark.low, mark.high, UInt64(bitPattern: mark.last.timestamp),
                UInt64(bitPattern: mark.last.step), mark.last.value.bitPattern, mark.latest?.rawValue ?? 0,
            ]
        }
        return words.withUnsafeBufferPointer { buffer in Array(UnsafeRawBufferPointer(buffer)) }
    }

    /// Nil when the bytes are not a base of this format.
    init?(encoded bytes: [UInt8]) {
        guard bytes.count % 8 == 0, bytes.count >= 24 else { return nil }
        let words = bytes.withUnsafeBytes { raw in (0..<bytes.count / 8).map { raw.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self) }
        }
        guard words[0] == Self.format, let fieldCount = Int(exactly: words[1]), fieldCount <= (words.count - 3) / 2 else { return nil }
        var at = 2
        var fields: [FieldDigest: FieldDigest] = [:]
        fields.reserveCapacity(fieldCount)
        for _ in 0..<fieldCount {
            fields[FieldDigest(rawValue: words[at])] = FieldDigest(rawValue: words[at + 1])
            at += 2
        }
        guard let seriesCount = Int(exactly: words[at]), words.count == at + 1 + seriesCount * Self.wordsPerSeries else { return nil }
        at += 1
        var series: [FieldDigest: SeriesMark] = [:]
        for _ in 0..<seriesCount {
            var mark = SeriesMark()
            mark.count = words[at + 1]
            mark.low = words[at + 2]
            mark.high = words[at + 3]
            mark.last = MetricPoint(
                value: Double(bitPattern: words[at + 6]), timestamp: Int64(bitPattern: words[at + 4]),
                step: Int64(bitPattern: words[at + 5]))
            mark.latest = words[at + 7] == 0 ? nil : FieldDigest(rawValue: words[at + 7])
            series[FieldDigest(rawValue: words[at])] = mark
            at += Self.wordsPerSeries
        }
        self.init(fields: fields, series: series)
    }
}
