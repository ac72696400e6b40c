import Curl
public import Replication

extension MLflowStore {
    /// From this size on, in bytes, a file goes to the storage behind the server in parts, where the server offers it.
    static let multipartSize: Int64 = 64 << 20
    /// The server's own limit for files that go through `upload-artifact`, in bytes (mlflow/server/handlers.py).
    static let uploadLimit: Int64 = 10 << 20

    public func writeArtifact(_ path: String, size: Int64, to owner: ArtifactOwner, _ bytes: ByteStream) async throws {
        try Task.checkCancellation()
        if let files { return try await files.writeArtifact(path, size: size, to: owner, bytes) }
        if let fault = ArtifactPath.fault(path) ?? ArtifactPath.faultOnServer(path) { throw refusal(path, owner, fault) }
        switch ArtifactRoute(root: owner.root, endpoint: endpoint) {
        case .proxy(let root):
            if size >= Self.multipartSize, await memory.hasMultipart,
                try await writeInParts(path, root: root, size: size, of: owner, bytes)
            {
                return
            }
            try await put(.put, Self.proxyPath("artifacts", root, path), size: size, of: "writing file \(path) of \(owner)", bytes)
        case .server: try await upload(path, size: size, to: owner, bytes)
        }
    }

    public func copyArtifact(
        _ path: String, to owner: ArtifactOwner, from source: ArtifactCopySource, progress: @escaping @Sendable () -> Void
    ) async throws -> ArtifactCopy {
        try Task.checkCancellation()
        return try await files?.copyArtifact(path, to: owner, from: source, progress: progress) ?? .notTried
    }

    /// For a root that is not proxied: the server itself writes to it.
    private func upload(_ path: String, size: Int64, to owner: ArtifactOwner, _ bytes: ByteStream) async throws {
        func unsupported(_ why: String) -> StoreError {
            StoreError(
                .setAside, .unsupported,
                "\(name), \(owner): the file \(path) cannot be written through the server, whose artifact root is not proxied: \(why); "
                    + "run the server with --serve-artifacts and --default-artifact-root mlflow-artifacts:/")
        }
        if let fault = ArtifactPath.faultAsQuery(path) { throw refusal(path, owner, fault) }
        guard case .run(let id) = owner.id else { throw unsupported("it takes files of runs alone") }
        guard size > 0 else { throw unsupported("it takes no empty files") }
        guard size <= Self.uploadLimit else { throw unsupported("it takes files of at most \(Self.uploadLimit) bytes") }
        let query = PercentEncoding.query([("run_uuid", id.rawValue), ("path", path)])
        try await put(.post, MLflowCall.ajax("upload-artifact") + query, size: size, of: "writing file \(path) of \(owner)", bytes)
    }

    private func put(
        _ method: HTTPRequest.Method, _ path: String, size: Int64, of subject: String, _ bytes: ByteStream
    ) async throws {
        let call = MLflowCall(method: method, path: path, subject: subject, isWrite: true, streamsBody: true)
        _ = try await authorized(call) { request in
            var request = request
            request.headers.append(HTTPHeader("Content-Type", "application/octet-stream"))
            // The server hands the file on before it answers: 5 MB/s at worst.
            request.timeouts.firstByte = endpoint.requestTimeout + Double(size) / 5e6
            return try await exchange(call, request, size: size, bytes.next)
        }
    }

    /// Sends a body; the answer's body is of no interest. Errors of the source pass unchanged.
    @discardableResult
    private func exchange(
        _ call: MLflowCall, _ request: HTTPRequest, size: Int64, _ next: @escaping @Sendable () async throws -> [UInt8]?
    ) async throws -> HTTPResponse {
        let body: HTTPBody
        if size == 0 {
            guard try await next() == nil else { throw failure.truncated(call, "the source gave more bytes than the 0 announced") }
            body = .bytes([])
        } else {
            body = .stream(length: size, next: next)
        }
        return try await service.answer(call, request, body, orSay: "a web page")
    }

    // MARK: - In parts

    private struct PartsAnswer: Decodable, Sendable {
        var uploadId: String?
        var credentials: [WirePartTarget]
    }

    private struct PartsBody: Encodable, Sendable {
        struct Part: Encodable, Sendable {
            var partNumber: Int64
            var etag: String
            var url: String
        }
        var path: String
        var numParts: Int?
        var uploadId: String?
        var parts: [Part]?
    }

    /// The server signs addresses of the storage behind it; the bytes go there directly, without this server's credentials.
    /// False where the server has no such storage: then nothing was read from the source.
    private func writeInParts(_ path: String, root: String, size: Int64, of owner: ArtifactOwner, _ bytes: ByteStream) async throws -> Bool
    {
        let slash = path.lastIndex(of: "/")
        let directory = slash.map { String(path[..<$0]) } ?? ""
        let file = slash.map { String(path[path.index(after: $0)...]) } ?? path
        let subject = "writing file \(path) of \(owner) in parts"
        // S3: 5 MiB to 5 GiB a part, 10,000 parts at most.
        let partSize = max(32 << 20, (size + 999) / 1000)
        let count = Int((size + partSize - 1) / partSize)
        let start: PartsAnswer
        do {
            let call = try MLflowCall.write(
                Self.proxyPath("mpu/create", root, directory), PartsBody(path: file, numParts: count), of: subject)
            start = try decode(PartsAnswer.self, try await send(call), call)
        } catch let error as StoreError where error.reason == .unsupported {
            await memory.multipartIsMissing()
            return false
        }
        let targets = start.credentials.sorted { $0.partNumber.value < $1.partNumber.value }
        do {
            let call = MLflowCall(method: .put, path: "", subject: subject, isWrite: true)
            guard targets.count == count else { throw failure.malformed(call, "\(targets.count) addresses for \(count) parts") }
            let source = PartSource(bytes)
            var parts: [PartsBody.Part] = []
            for (index, target) in targets.enumerated() {
                let length = min(partSize, size - Int64(index) * partSize)
                await source.begin(length)
                let response: HTTPResponse
                do {
                    response = try await exchange(call, try partRequest(call, target), size: length) { try await source.next() }
                } catch let error as StoreError where error.isOfStorage {
                    // Not of this server's credentials: an address is good for an hour or so, and a source may have stood still.
                    throw StoreError(
                        .retry(after: nil), .forbidden, "\(error.message) (the storage behind the server)", exchange: error.exchange)
                }
                parts.append(.init(partNumber: target.partNumber.value, etag: response.header("ETag") ?? "", url: target.url))
            }
            guard try await source.isAtEnd() else { throw failure.truncated(call, "the source gave more than the \(size) bytes announced") }
            try await send(
                .write(
                    Self.proxyPath("mpu/complete", root, directory),
                    PartsBody(path: file, uploadId: start.uploadId, parts: parts), of: subject))
            return true
        } catch let error where !Task.isCancelled && !(error is CancellationError) {
            // What is left of the upload costs its owner storage; that it cannot be removed must not hide why it failed.
            let abort = try MLflowCall.write(
                Self.proxyPath("mpu/abort", root, directory), PartsBody(path: file, uploadId: start.uploadId), of: subject)
            do { try await send(abort) } catch is StoreError {}
            throw error
        }
    }

    /// A signed address carries its own authority: no credential of the tracking server goes with it.
    private func partRequest(_ call: MLflowCall, _ target: WirePartTarget) throws(StoreError) -> HTTPRequest {
        let isSecure = target.url.hasPrefix("https://")
        guard isSecure || target.url.hasPrefix("http://") && endpoint.baseURL.hasPrefix("http://") else {
            throw failure.malformed(call, "an address for a part that is not https")
        }
        let headers = (target.headers ?? [:]).sorted { $0.key < $1.key }.map { HTTPHeader($0.key, $0.value) }
        var request = HTTPRequest(.put, target.url, headers: headers, isIdempotent: false)
        request.timeouts.firstByte = endpoint.requestTimeout
        return request.about(.files)
    }
}

/// Cuts a stream of bytes into parts.
private actor PartSource {
    private let bytes: ByteStream
    private var held: ArraySlice<UInt8> = []
    private var rest: Int64 = 0

    init(_ bytes: ByteStream) { self.bytes = bytes }

    func begin(_ length: Int64) { rest = length }

    func next() async throws -> [UInt8]? {
        guard rest > 0 else { return nil }
        if held.isEmpty {
            guard let chunk = try await bytes.next() else { return nil }
            held = chunk[...]
        }
        let part = held.prefix(Int(min(rest, Int64(held.count))))
        held = held.dropFirst(part.count)
        rest -= Int64(part.count)
        return Array(part)
    }

    func isAtEnd() async throws -> Bool {
        guard held.isEmpty else { return false }
        return try await bytes.next() == nil
    }
}

extension StoreError {
    /// How storage refuses a signed address that has ended, or a part that stood still.
    fileprivate var isOfStorage: Bool {
        reason == .forbidden || reason == .unauthorized || reason == .invalid && message.contains("RequestTimeout")
    }
}
