/// A whole answer. Any status is an answer, also 404 and 500.
public struct HTTPResponse: Sendable {
    public var status: Int
    public var headers: [HTTPHeader]
    /// Decoded: a compressed answer arrives here as it was before compression.
    public var body: [UInt8]

    public init(status: Int, headers: [HTTPHeader] = [], body: [UInt8] = []) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// The first value of that name, compared without case.
    public func header(_ name: String) -> String? { headers.value(of: name) }
}

/// The head of an answer whose body is pulled with `next()`. Valid inside the closure of `withResponse`.
public struct HTTPResponseStream: Sendable {
    public let status: Int
    public let headers: [HTTPHeader]
    let transfer: Transfer

    /// The first value of that name, compared without case.
    public func header(_ name: String) -> String? { headers.value(of: name) }

    /// The next 1 to 262,144 bytes as they came (never decompressed), or nil at the end.
    ///
    /// Throws `HTTPError` when the body was cut short, `CancellationError` after cancellation. A body without a length that the
    /// server ends by closing cannot be told from a cut one: compare the size with what was promised elsewhere.
    public func next() async throws -> HTTPChunk? { try await transfer.nextChunk() }

    /// Reads to the end.
    ///
    /// Throws `HTTPError` of kind `.bodyTooLarge` as soon as more than `limit` bytes came.
    public func collect(limit: Int) async throws -> [UInt8] {
        var body: [UInt8] = []
        while let chunk = try await next() {
            guard chunk.count <= limit - body.count else {
                throw HTTPError(.bodyTooLarge, during: .receiving, of: transfer, "the answer is larger than \(limit) bytes", isSent: true)
            }
            if body.isEmpty { body = chunk } else { body += chunk }
        }
        return body
    }
}

extension [HTTPHeader] {
    func value(of name: String) -> String? {
        first { $0.name.isEqualIgnoringCase(name) }?.value
    }
}

extension String {
    /// Compares ASCII letters without case.
    func isEqualIgnoringCase(_ other: String) -> Bool {
        guard utf8.count == other.utf8.count else { return false }
        return zip(utf8, other.utf8).allSatisfy { $0.asciiLowercased == $1.asciiLowercased }
    }

}

extension StringProtocol {
    /// ASCII letters in lower case, the rest unchanged.
    var asciiLowercased: String { String(decoding: utf8.map(\.asciiLowercased), as: UTF8.self) }
}

extension UInt8 {
    var asciiLowercased: UInt8 { (0x41...0x5A).contains(self) ? self | 0x20 : self }
    var isDigit: Bool { (0x30...0x39).contains(self) }
    var isLowercase: Bool { (0x61...0x7A).contains(self) }
    var isAlphanumeric: Bool { isDigit || (0x61...0x7A).contains(self | 0x20) }
}
