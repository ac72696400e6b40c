import Curl
import Replication

/// Reads one file by addresses that carry their own authority. They are in no message: only the storage's host is.
struct SignedFile: Sendable {
    var client: HTTPClient
    var failure: MLflowFailure
    /// Seconds until the first byte of an answer.
    var timeout: Double
    /// Of a workspace that is itself reached without TLS.
    var allowsHTTP: Bool
    /// For people: which file.
    var subject: String

    /// The storage does not take this address (any more); nothing was read.
    struct Refused: Error { var error: StoreError }

    /// Bytes of one request, where a broken file is read on.
    private static let piece = 4 << 20
    private static let attempts = 4
    /// What S3 and Google's storage answer where an address has ended (`ExpiredToken`), and to what is wrong in other ways.
    private static let endedElsewhere = 400
    /// Seconds, at most, that a storage account is given when it asks for time.
    private static let longestRest = 60.0

    private var call: MLflowCall { MLflowCall(method: .get, path: "its storage", subject: subject, isWrite: false) }

    /// What storage says of a file.
    struct Properties: Sendable {
        var size: Int64
        /// Names the bytes: the same tag, the same file.
        var tag: String
        var md5: String?
    }

    /// Nil where storage says less, or nothing.
    ///
    /// - Parameter address: one that needs no headers.
    func properties(_ address: String) async throws -> Properties? {
        var request = HTTPRequest(.head, address)
        request.timeouts.firstByte = timeout
        let response: HTTPResponse
        do { response = try await client.send(request.about(.files)) } catch let error as HTTPError {
            if error.kind == .cancelled { throw CancellationError() }
            return nil
        }
        guard response.status == 200, let size = response.header("Content-Length").flatMap({ Int64($0) }),
            let tag = response.header("ETag"), tag.hasPrefix("\"")
        else { return nil }
        return Properties(size: size, tag: tag, md5: response.header("Content-MD5").nonEmpty)
    }

    private func request(_ address: SignedAddress, _ further: [HTTPHeader] = []) throws(StoreError) -> HTTPRequest {
        guard address.url.hasPrefix("https://") || allowsHTTP && address.url.hasPrefix("http://") else {
            throw failure.malformed(call, "an address of a file that is not https")
        }
        var request = HTTPRequest(.get, address.url, headers: address.headers + further)
        request.timeouts.firstByte = timeout
        return request.about(.files)
    }

    /// What broke below HTTP, without the address.
    private func thrown(_ error: HTTPError, _ address: SignedAddress) -> any Error {
        let what = "\(TrackingURI.authority(of: address.url)): \(error.kind)"
        switch error.kind {
        case .tooManyRedirects, .forbiddenRedirect:
            // Of this file's storage, not of the workspace.
            return StoreError(
                .setAside, .invalid, failure.message(call, what, "the storage account leads elsewhere: see who answers for it here"))
        default: return failure.thrown(call, HTTPError(error.kind, what))
        }
    }

    private func refusal(_ status: Int, _ address: SignedAddress, _ headers: [HTTPHeader]) -> StoreError {
        let what = "HTTP \(status) from \(TrackingURI.authority(of: address.url))"
        func error(_ decision: StoreError.Decision, _ reason: StoreError.Reason, _ advice: String) -> StoreError {
            StoreError(decision, reason, failure.message(call, what, advice), exchange: failure.exchange(call, what))
        }
        let wait = RetryAfter.seconds(headers, now: failure.now())
        switch status {
        case 404: return error(.setAside, .notFound, "it does not exist there")
        case 401, 403: return error(.retry(after: nil), .forbidden, "see whether the storage account lets this machine in")
        case 429, 503: return error(.retry(after: wait), .throttled, "ask less often")
        case 408, 500...: return error(.retry(after: wait), .serverFailure, "ask again")
        default: return error(.setAside, .invalid, "storage refuses it as it is")
        }
    }

    /// - Parameter again: another address for the same file.
    /// - Throws: `Refused` before `read` was called; `StoreError`, `CancellationError`, and what `read` throws.
    func read<R: Sendable>(
        _ address: SignedAddress, again: @escaping @Sendable () async throws -> SignedAddress,
        _ read: @Sendable (ByteStream) async throws -> R
    ) async throws -> R {
        do {
            return try await client.withResponse(try request(address)) { response in
                guard response.status == 200 else {
                    let error = refusal(response.status, address, response.headers)
                    if error.reason == .forbidden || response.status == Self.endedElsewhere { throw Refused(error: error) }
                    throw error
                }
                let place = Locked(
                    Place(address, size: response.header("Content-Length").flatMap { Int64($0) }, tag: response.header("ETag")))
                return try await read(
                    ByteStream {
                        guard !place.withLock({ $0.isBroken }) else { return try await next(place, again) }
                        do {
                            let chunk = try await response.next()
                            place.withLock { $0.offset += Int64(chunk?.count ?? 0) }
                            return chunk
                        } catch let error as HTTPError {
                            guard error.kind != .cancelled, place.withLock({ $0.goesOn() }) else { throw thrown(error, address) }
                            return try await next(place, again)
                        }
                    })
            }
        } catch let error as HTTPError {
            throw thrown(error, address)
        }
    }

    /// Where in a file a reader is.
    private struct Place: Sendable {
        var address: SignedAddress
        let size: Int64?
        /// Names the bytes: the same tag, the same file.
        let tag: String?
        var offset: Int64 = 0
        var isBroken = false

        init(_ address: SignedAddress, size: Int64?, tag: String?) {
            self.address = address
            self.size = size
            self.tag = tag
        }

        /// Only a file that is known to be still the same can be read on.
        mutating func goesOn() -> Bool {
            isBroken = size != nil && tag.map { $0.hasPrefix("\"") } ?? false
            return isBroken
        }
    }

    /// The next piece of a file whose transfer broke.
    private func next(_ place: Locked<Place>, _ again: @Sendable () async throws -> SignedAddress) async throws -> [UInt8]? {
        var attempt = 1
        var isRenewed = false
        while true {
            var rest = 0.2 * Double(1 << attempt)
            let now = place.withLock { $0 }
            guard let size = now.size, let tag = now.tag, now.offset < size else { return nil }
            let last = min(size, now.offset + Int64(Self.piece)) - 1
            let range = [HTTPHeader("Range", "bytes=\(now.offset)-\(last)"), HTTPHeader("If-Match", tag)]
            do {
                var request = try request(now.address, range)
                request.maximumResponseBytes = Self.piece
                let response = try await client.send(request)
                if response.status == Self.endedElsewhere, !isRenewed {
                    let fresh = try await again()
                    place.withLock { $0.address = fresh }
                    isRenewed = true
                    continue
                }
                guard response.status == 206 else {
                    guard response.status == 200 || response.status == 412 else {
                        throw refusal(response.status, now.address, response.headers)
                    }
                    throw failure.truncated(call, "the file broke off, and is another one now")
                }
                guard response.header("ETag") == tag, Int64(response.body.count) == last - now.offset + 1,
                    response.header("Content-Range")?.hasPrefix("bytes \(now.offset)-\(last)/") == true
                else { throw failure.truncated(call, "the file broke off, and its rest came from elsewhere") }
                place.withLock { $0.offset = last + 1 }
                return response.body
            } catch let error as HTTPError where error.kind == .cancelled {
                throw CancellationError()
            } catch let error as HTTPError {
                guard attempt < Self.attempts else { throw thrown(error, now.address) }
            } catch let error as StoreError where error.isRetriable && error.reason != .truncated && attempt < Self.attempts {
                if case .retry(let after?) = error.decision { rest = max(rest, min(after, Self.longestRest)) }
                if error.reason == .forbidden {
                    let fresh = try await again()
                    place.withLock { $0.address = fresh }
                }
            }
            try await Task.sleep(for: .seconds(rest))
            attempt += 1
        }
    }
}
