import Replication

/// Reads the answer of `metrics/get-history` and of `metrics/get-history-bulk` while it arrives.
///
/// Both are an object with an array `metrics` of flat objects; a page also has `next_page_token`. Unknown members are skipped, order does
/// not matter. Memory is one chunk and one point, however long the answer is.
struct MetricHistoryParser {
    /// Why an answer cannot be read.
    enum Failure: Error, Sendable, Hashable, CustomStringConvertible {
        case malformed(offset: Int)
        /// The answer ends before its JSON does.
        case cutShort
        var description: String {
            switch self {
            case .malformed(let offset): "not a metric history at byte \(offset)"
            case .cutShort: "the answer ends before its JSON does"
            }
        }
    }

    private enum State { case start, firstMember, member, firstElement, element, afterElement, afterMember, end }

    /// The longest single point or unknown member, in bytes.
    static let largestPart = 1 << 20

    private(set) var nextPageToken: String?
    /// Bytes that were fed but are no whole part yet.
    private var buffer: [UInt8] = []
    private var state = State.start
    /// Offset of `buffer` in the answer.
    private var base = 0
    /// A part that did not fit is tried again only when there is this much: a slow sender costs no quadratic time.
    private var enough = 0

    /// Takes the next bytes; calls `emit` for every point that is whole now. `run` is the point's `run_id`, as bytes of the answer.
    mutating func feed(
        _ chunk: [UInt8], _ emit: (_ run: UnsafeBufferPointer<UInt8>, _ point: MetricPoint) throws -> Void
    ) throws {
        if buffer.isEmpty { buffer = chunk } else { buffer += chunk }
        if buffer.count >= enough { try advance(emit) }
    }

    /// Says that the answer is over.
    mutating func finish(_ emit: (_ run: UnsafeBufferPointer<UInt8>, _ point: MetricPoint) throws -> Void) throws {
        try advance(emit)
        guard state == .end else { throw Failure.cutShort }
    }

    private mutating func advance(_ emit: (_ run: UnsafeBufferPointer<UInt8>, _ point: MetricPoint) throws -> Void) throws {
        var state = self.state
        var token = nextPageToken
        let consumed: Int
        do {
            consumed = try buffer.withUnsafeBufferPointer { bytes in
                var scanner = PointScanner(bytes: bytes)
                return try Self.run(&scanner, &state, &token, emit)
            }
        } catch let error as PointScanner.Malformed {
            throw Failure.malformed(offset: base + error.offset)
        }
        self.state = state
        nextPageToken = token
        base += consumed
        buffer.removeFirst(consumed)
        guard buffer.count <= Self.largestPart else { throw Failure.malformed(offset: base) }
        enough = buffer.count > 4096 ? buffer.count + buffer.count / 2 : 0
    }

    /// Goes on as far as the bytes reach. Returns how many of them are done with.
    private static func run(
        _ scanner: inout PointScanner, _ state: inout State, _ token: inout String?,
        _ emit: (_ run: UnsafeBufferPointer<UInt8>, _ point: MetricPoint) throws -> Void
    ) throws -> Int {
        var done = 0
        while let byte = scanner.nextVisible() {
            do {
                switch (state, byte) {
                case (.start, UInt8(ascii: "{")):
                    scanner.at += 1
                    state = .firstMember
                case (.firstMember, UInt8(ascii: "}")), (.afterMember, UInt8(ascii: "}")):
                    scanner.at += 1
                    state = .end
                case (.firstMember, UInt8(ascii: "\"")), (.member, UInt8(ascii: "\"")):
                    let name = try scanner.string()
                    try scanner.colon()
                    if scanner.bytes[name].elementsEqual("metrics".utf8), try scanner.peek() == UInt8(ascii: "[") {
                        scanner.at += 1
                        state = .firstElement
                    } else if scanner.bytes[name].elementsEqual("next_page_token".utf8), try scanner.peek() == UInt8(ascii: "\"") {
                        let text = try scanner.string()
                        token = JSONSpan.unescaped(scanner.bytes[text])
                        state = .afterMember
                    } else {
                        try scanner.skipValue()
                        state = .afterMember
                    }
                case (.firstElement, UInt8(ascii: "]")), (.afterElement, UInt8(ascii: "]")):
                    scanner.at += 1
                    state = .afterMember
                case (.firstElement, UInt8(ascii: "{")), (.element, UInt8(ascii: "{")):
                    let (run, point) = try scanner.point()
                    try emit(UnsafeBufferPointer(rebasing: scanner.bytes[run]), point)
                    state = .afterElement
                case (.afterElement, UInt8(ascii: ",")):
                    scanner.at += 1
                    state = .element
                case (.afterMember, UInt8(ascii: ",")):
                    scanner.at += 1
                    state = .member
                default: throw PointScanner.Malformed(offset: scanner.at)
                }
            } catch is PointScanner.NeedsMore {
                return done
            }
            done = scanner.at
        }
        return scanner.at
    }
}
