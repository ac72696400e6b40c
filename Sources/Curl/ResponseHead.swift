/// Status and headers, built from the lines as they arrive. An interim (1xx) head is replaced by the next.
struct ResponseHead: Sendable {
    private(set) var status = 0
    private(set) var headers: [HTTPHeader] = []
    /// The blank line of a final (not 1xx) head has come.
    private(set) var isComplete = false

    /// Takes one line with its line end. Lines after the head (trailers) are ignored.
    mutating func accept(_ line: UnsafeRawBufferPointer) {
        guard !isComplete else { return }
        var line = line[...]
        while let last = line.last, last == 0x0D || last == 0x0A { line = line.dropLast() }
        if line.isEmpty {
            isComplete = status >= 200
        } else if line.starts(with: "HTTP/".utf8) {
            headers.removeAll(keepingCapacity: true)
            let digits = line.drop { $0 != 0x20 }.drop { $0 == 0x20 }.prefix { $0.isDigit }.prefix(3)
            status = digits.reduce(0) { $0 * 10 + Int($1 - 0x30) }
        } else if line.first == 0x20 || line.first == 0x09 {
            guard let last = headers.indices.last else { return }
            headers[last].value += " " + Self.text(line)
        } else if let colon = line.firstIndex(of: 0x3A) {
            headers.append(HTTPHeader(Self.text(line[..<colon]), Self.text(line[(colon + 1)...])))
        }
    }

    /// True when two `Content-Length` values differ: libcurl believes the last one, so the body's end is anybody's guess.
    var hasConflictingLengths: Bool {
        var first: Substring?
        for header in headers where header.name.isEqualIgnoringCase("content-length") {
            for value in header.value.split(separator: ",", omittingEmptySubsequences: false) {
                let value = value.trimmingSpaces
                if let first, first != value { return true }
                first = value
            }
        }
        return false
    }

    /// The announced size of the body in bytes.
    var contentLength: Int? { headers.value(of: "content-length").flatMap { Int($0) } }

    private static func text(_ bytes: Slice<UnsafeRawBufferPointer>) -> String {
        var bytes = bytes
        while let first = bytes.first, first == 0x20 || first == 0x09 { bytes = bytes.dropFirst() }
        while let last = bytes.last, last == 0x20 || last == 0x09 { bytes = bytes.dropLast() }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension Substring {
    var trimmingSpaces: Substring {
        let start = drop { $0 == " " }
        guard let end = start.lastIndex(where: { $0 != " " }) else { return "" }
        return start[...end]
    }
}
