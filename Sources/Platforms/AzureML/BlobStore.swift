import Curl
import Hashing
import Replication

/// Blobs of Azure storage, by addresses that carry their own authority (a SAS): no other credential goes with them.
///
/// The blob service's REST API ("Put Blob", "Put Block", "Put Block List", "Get Blob Properties"), version 2020-10-02.
struct BlobStore: Sendable {
    let client: HTTPClient
    let failure: MLflowFailure
    /// Seconds until the first byte of an answer.
    let timeout: Double
    /// Of an account that is itself reached without TLS.
    var allowsHTTP = false

    private static let version = HTTPHeader("x-ms-version", "2020-10-02")

    private static func call(_ method: HTTPRequest.Method, _ subject: String, isWrite: Bool) -> MLflowCall {
        MLflowCall(method: method, path: "a blob", subject: subject, isWrite: isWrite, streamsBody: isWrite)
    }

    private func request(
        _ call: MLflowCall, _ url: String, _ query: String = "", _ headers: [HTTPHeader] = [], isIdempotent: Bool
    ) throws(StoreError) -> HTTPRequest {
        guard url.hasPrefix("https://") || allowsHTTP && url.hasPrefix("http://") else {
            throw failure.malformed(call, "an address of a blob that is not https")
        }
        let separator = query.isEmpty ? "" : url.contains("?") ? "&" : "?"
        var request = HTTPRequest(call.method, url + separator + query, headers: [Self.version] + headers, isIdempotent: isIdempotent)
        request.timeouts.firstByte = timeout
        return request.about(.files)
    }

    /// In bytes; nil where there is no blob.
    func size(_ url: String, of subject: String) async throws -> Int64? {
        let call = Self.call(.head, subject, isWrite: false)
        let response = try await exchange(call, try request(call, url, isIdempotent: true))
        if response.status == 404 { return nil }
        guard response.status == 200 else { throw refusal(call, response.status, response.headers) }
        guard let size = response.header("Content-Length").flatMap({ Int64($0) }) else {
            throw failure.malformed(call, "a blob without a length")
        }
        return size
    }

    func read<R: Sendable>(_ url: String, of subject: String, _ read: @Sendable (ByteStream) async throws -> R) async throws -> R {
        let call = Self.call(.get, subject, isWrite: false)
        let request = try request(call, url, isIdempotent: true)
        do {
            return try await client.withResponse(request) { response in
                guard response.status == 200 else { throw refusal(call, response.status, response.headers) }
                return try await read(
                    ByteStream {
                        do { return try await response.next() } catch let error as HTTPError {
                            throw failure.thrown(call, error)
                        }
                    })
            }
        } catch let error as HTTPError {
            throw failure.thrown(call, error)
        }
    }

    /// Writes a whole blob with one request.
    ///
    /// - Parameter isNew: whether it must not be there yet: then `alreadyExists`.
    func put(_ url: String, size: Int64, isNew: Bool, of subject: String, _ bytes: ByteStream) async throws {
        let call = Self.call(.put, subject, isWrite: true)
        var headers = [HTTPHeader("x-ms-blob-type", "BlockBlob"), HTTPHeader("Content-Type", "application/octet-stream")]
        if isNew { headers.append(HTTPHeader("If-None-Match", "*")) }
        let request = try request(call, url, "", headers, isIdempotent: false)
        let meter = BlobMeter()
        let body: HTTPBody
        if size == 0 {
            guard try await bytes.next() == nil else { throw failure.truncated(call, "the source gave more bytes than the 0 announced") }
            body = .bytes([])
        } else {
            body = .stream(length: size) {
                guard let chunk = try await bytes.next() else { return nil }
                meter.add(chunk)
                return chunk
            }
        }
        let response = try await exchange(call, request, body)
        guard response.status == 201 else { throw refusal(call, response.status, response.headers) }
        if let stored = response.header("Content-MD5"), stored != meter.md5() {
            throw failure.truncated(call, "other bytes arrived than were sent")
        }
    }

    /// Writes one block of a blob that `commit` makes.
    func putBlock(_ url: String, _ id: String, _ bytes: [UInt8], of subject: String) async throws {
        let call = Self.call(.put, subject, isWrite: true)
        let headers = [HTTPHeader("Content-MD5", Base64.encode(MD5Hasher.of(bytes)))]
        let response = try await block(call, url, id, headers, bytes)
        guard response.status == 201 else { throw refusal(call, response.status, response.headers) }
    }

    private func block(_ call: MLflowCall, _ url: String, _ id: String, _ headers: [HTTPHeader], _ bytes: [UInt8]) async throws
        -> HTTPResponse
    {
        // The same block again is the same block.
        let request = try request(call, url, "comp=block&blockid=\(PercentEncoding.encode(id))", headers, isIdempotent: true)
        return try await exchange(call, request, .bytes(bytes))
    }

    /// Storage does not fetch a block, whoever asks how often.
    struct CopyRefusal: Error {
        var status: Int
        /// The storage's own word.
        var code: String
        /// For people.
        var message: String
        /// An address may have ended.
        var isOfAuthority: Bool { status == 401 || status == 403 }
        /// That address is the source's, not the one of the blob that is written.
        var isOfSource: Bool { code == "CannotVerifyCopySource" }
        /// It says nothing of other files: this one is gone, or is another one now.
        var isOfFile: Bool { [404, 412, 416].contains(status) }
    }

    /// Has storage fetch one block of a blob that `commit` makes ("Put Block From URL").
    ///
    /// - Parameters:
    ///   - range: of the source's bytes; they are of this tag, or nothing is fetched.
    ///   - md5: of these bytes, where it is known: storage compares it with what arrives.
    /// - Throws: `CopyRefusal`, besides what all requests throw.
    func copyBlock(
        _ url: String, _ id: String, from source: String, _ range: Range<Int64>, tag: String, md5: String?, of subject: String
    ) async throws {
        let call = Self.call(.put, subject, isWrite: true)
        var headers = [
            HTTPHeader("x-ms-copy-source", source), HTTPHeader("x-ms-source-if-match", tag),
            HTTPHeader("x-ms-source-range", "bytes=\(range.lowerBound)-\(range.upperBound - 1)"),
        ]
        if let md5 { headers.append(HTTPHeader("x-ms-source-content-md5", md5)) }
        let response = try await block(call, url, id, headers, [])
        if response.status == 201 { return }
        guard (400..<500).contains(response.status), ![408, 429].contains(response.status) else {
            throw refusal(call, response.status, response.headers)
        }
        let code = Self.code(response.headers)
        throw CopyRefusal(
            status: response.status, code: code,
            message: failure.message(
                call, "HTTP \(response.status) \(code)", "see whether the storage account of the source lets this one in"))
    }

    /// Makes a blob of its blocks.
    ///
    /// - Parameter md5: kept with the blob; storage does not compare it.
    func commit(_ url: String, _ blocks: [String], md5: String?, isNew: Bool, of subject: String) async throws {
        let call = Self.call(.put, subject, isWrite: true)
        var headers = [HTTPHeader("Content-Type", "application/xml")]
        if let md5 { headers.append(HTTPHeader("x-ms-blob-content-md5", md5)) }
        if isNew { headers.append(HTTPHeader("If-None-Match", "*")) }
        let list = blocks.map { "<Latest>\($0)</Latest>" }.joined()
        let body = "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>\(list)</BlockList>"
        let request = try request(call, url, "comp=blocklist", headers, isIdempotent: false)
        let response = try await exchange(call, request, .bytes(Array(body.utf8)))
        guard response.status == 201 else { throw refusal(call, response.status, response.headers) }
    }

    private func exchange(_ call: MLflowCall, _ request: HTTPRequest, _ body: HTTPBody = .none) async throws -> HTTPResponse {
        do { return try await client.send(request, body: body) } catch let error as HTTPError {
            throw failure.thrown(call, error)
        }
    }

    private static func code(_ headers: [HTTPHeader]) -> String {
        headers.first { $0.name.lowercased() == "x-ms-error-code" }?.value ?? ""
    }

    /// Storage names its reason in a header, and in XML.
    private func refusal(_ call: MLflowCall, _ status: Int, _ headers: [HTTPHeader]) -> StoreError {
        let code = Self.code(headers)
        let wait = RetryAfter.seconds(headers, now: failure.now())
        let what = "HTTP \(status) \(code)"
        func error(_ decision: StoreError.Decision, _ reason: StoreError.Reason, _ advice: String, isInDoubt: Bool = false) -> StoreError {
            StoreError(
                decision, reason, isInDoubt: isInDoubt, failure.message(call, what, advice), exchange: failure.exchange(call, what))
        }
        switch status {
        case 404: return error(.setAside, .notFound, "it does not exist there")
        case 409 where code == "BlobAlreadyExists", 412 where code == "ConditionNotMet":
            return error(.retry(after: 1), .alreadyExists, "it is there already")
        // An address is good for some hours; another is asked for.
        case 401, 403: return error(.retry(after: nil), .forbidden, "see whether the storage account lets this machine in")
        case 413: return error(.setAside, .tooLarge, "storage takes no blob of this size")
        case 429, 503: return error(.retry(after: wait), .throttled, "ask less often")
        case 408, 500...: return error(.retry(after: wait), .serverFailure, "ask again", isInDoubt: call.isWrite)
        case 400 where code == "Md5Mismatch": return error(.retry(after: nil), .truncated, "other bytes arrived than were sent")
        default: return error(.setAside, .invalid, "storage refuses it as it is")
        }
    }
}

/// The MD5 of bytes that pass.
final class BlobMeter: Sendable {
    /// `Locked` holds copyable values; the hasher is none. Only ever touched inside the lock.
    private final class Box: @unchecked Sendable { var hasher = MD5Hasher() }
    private let state = Locked(Box())

    func add(_ chunk: [UInt8]) { state.withLock { $0.hasher.update(chunk) } }
    /// Base64; once.
    func md5() -> String { state.withLock { Base64.encode($0.hasher.finish()) } }
}
