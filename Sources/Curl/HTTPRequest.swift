/// One header line. The client and `header(_:)` compare names without case; `==` compares them as written.
public struct HTTPHeader: Sendable, Hashable {
    public var name: String
    public var value: String

    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// One request. `url` is sent as given: the caller has percent-encoded it once.
public struct HTTPRequest: Sendable {
    public enum Method: String, Sendable {
        case get = "GET"
        case head = "HEAD"
        case post = "POST"
        case put = "PUT"
        case patch = "PATCH"
        case delete = "DELETE"
    }

    public var method: Method
    /// `http` or `https`, percent-encoded.
    public var url: String
    /// Names and values without control characters. `Content-Length` and `Transfer-Encoding` are ignored: the body decides them.
    public var headers: [HTTPHeader]
    /// Whether sending it twice has the effect of sending it once. Default: GET and HEAD only.
    ///
    /// An idempotent request may be repeated by the client when a kept-alive connection dies before the first answer byte.
    /// Any other request leaves the client at most once.
    public var isIdempotent: Bool
    public var timeouts: Timeouts
    /// The most decoded body bytes `HTTPClient.send` will hold. Default 64 MiB.
    public var maximumResponseBytes: Int
    /// What it is about, for who counts (`HTTPClientConfiguration.onExchange`). Never sent.
    public var label = ""

    public init(
        _ method: Method, _ url: String, headers: [HTTPHeader] = [], isIdempotent: Bool? = nil,
        timeouts: Timeouts = Timeouts(), maximumResponseBytes: Int = 64 << 20
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.isIdempotent = isIdempotent ?? (method == .get || method == .head)
        self.timeouts = timeouts
        self.maximumResponseBytes = maximumResponseBytes
    }
}

/// How long each phase of a request may take, in seconds. Zero or less ends the phase at once.
public struct Timeouts: Sendable, Hashable {
    /// Name resolution, TCP and TLS together; waiting for a free connection is not counted.
    public var connect: Double = 10
    /// From the last request byte sent to the first answer byte.
    public var firstByte: Double = 120
    /// No byte either way while sending or receiving. Time spent waiting for the caller is not counted.
    public var stall: Double = 60
    /// The whole request, waiting for a free connection included; nil: no limit. For small requests.
    public var total: Double?

    public init(connect: Double = 10, firstByte: Double = 120, stall: Double = 60, total: Double? = nil) {
        self.connect = connect
        self.firstByte = firstByte
        self.stall = stall
        self.total = total
    }
}

/// A piece of a body. An answer's pieces hold at most 256 KiB each.
public typealias HTTPChunk = [UInt8]

/// What a request carries.
public enum HTTPBody: Sendable {
    case none
    case bytes([UInt8])
    /// Pulled as the server takes it: `next` is called when there is room and returns nil at the end.
    ///
    /// `length` nil: chunked. If fewer or more bytes come than `length`, the request fails with `.bodyFailed`. An error that
    /// `next` throws ends the request and is thrown on unchanged. `next` is called from a child task, which is cancelled
    /// when the request ends, so it must answer to cancellation.
    case stream(length: Int64?, next: @Sendable () async throws -> HTTPChunk?)
}

extension HTTPRequest: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Method and redacted URL; no headers.
    public var description: String { "\(method.rawValue) \(Redaction.url(url))" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}

extension HTTPHeader: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The value is hidden where the name says that it is a credential.
    public var description: String { "\(name): \(Redaction.isSensitive(name) ? Redaction.mask : Redaction.text(value))" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}
