import CCurl

/// Where a URL leads, as libcurl reads it: host in lower case, short and hexadecimal IPv4 forms written out.
struct Origin: Hashable, Sendable {
    let scheme: String
    let host: String
    let port: String
}

/// The redirect policy of one request: which answers are followed, and what goes along.
struct Redirects {
    static let maximumHops = 5

    /// What to send next.
    private(set) var request: HTTPRequest
    /// The last hop led to a host other than the first one.
    private(set) var isForeign = false
    private let first: HTTPRequest
    private let isFollowing: Bool
    private var hops = 0

    init(_ request: HTTPRequest, body: HTTPBody) {
        self.request = request
        first = request
        // Only what can be repeated without a second thought; everything else gets the 3xx as its answer.
        isFollowing = (request.method == .get || request.method == .head) && request.isIdempotent && body.isEmpty
    }

    /// True when `request` must be sent again, changed. Throws `.forbiddenRedirect` or `.tooManyRedirects`.
    mutating func follow(status: Int, headers: [HTTPHeader]) throws -> Bool {
        guard isFollowing, [301, 302, 303, 307, 308].contains(status), let location = headers.value(of: "location") else { return false }
        guard hops < Self.maximumHops else { throw error(.tooManyRedirects, "more than \(Self.maximumHops) redirects") }
        guard let here = CurlURL(request.url)?.origin, let start = CurlURL(first.url)?.origin, let target = CurlURL(request.url),
            target.resolve(location), let there = target.origin, let url = target.text
        else { throw error(.forbiddenRedirect, "a redirect to something that is no http URL") }
        if here.scheme == "https", there.scheme != "https" { throw error(.forbiddenRedirect, "a redirect from https to http") }
        isForeign = there.host != start.host
        if isForeign, PrivateAddress.contains(host: there.host) { throw error(.forbiddenRedirect, "a redirect to a private address") }
        if there != here { request.headers.removeAll { !Self.isHarmless($0.name) } }
        request.url = url
        hops += 1
        return true
    }

    /// Headers that say nothing about who asks. A list of what may pass: credentials travel under any name.
    private static func isHarmless(_ name: String) -> Bool {
        let name = name.asciiLowercased
        return name == "accept" || name == "user-agent" || name == "range" || name.hasPrefix("if-")
    }

    private func error(_ kind: HTTPError.Kind, _ what: String) -> HTTPError {
        HTTPError(kind, during: .receiving, of: request, what, isSent: true)
    }
}

/// A URL in libcurl's own parser, so that what is judged is what is sent.
final class CurlURL {
    private let handle: OpaquePointer

    /// Nil for anything that is not an absolute URL.
    init?(_ text: String) {
        guard let handle = curl_url() else { return nil }
        self.handle = handle
        guard curl_url_set(handle, CURLUPART_URL, text, UInt32(CURLU_PATH_AS_IS)) == CURLUE_OK else { return nil }
    }

    deinit { curl_url_cleanup(handle) }

    /// Moves to `reference`, absolute or relative. User, password and fragment in it are dropped.
    func resolve(_ reference: String) -> Bool {
        let flags = UInt32(CURLU_URLENCODE | CURLU_PATH_AS_IS)
        guard !reference.utf8.contains(0), curl_url_set(handle, CURLUPART_URL, reference, flags) == CURLUE_OK else { return false }
        for part in [CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_FRAGMENT] { curl_url_set(handle, part, nil, 0) }
        return true
    }

    /// Nil unless the scheme is http or https.
    var origin: Origin? {
        guard let scheme = part(CURLUPART_SCHEME)?.asciiLowercased, scheme == "http" || scheme == "https",
            let host = part(CURLUPART_HOST)?.asciiLowercased, let port = part(CURLUPART_PORT, UInt32(CURLU_DEFAULT_PORT))
        else { return nil }
        return Origin(scheme: scheme, host: host, port: port)
    }

    var text: String? { part(CURLUPART_URL) }

    private func part(_ part: CURLUPart, _ flags: UInt32 = 0) -> String? {
        var text: UnsafeMutablePointer<CChar>?
        guard curl_url_get(handle, part, &text, flags) == CURLUE_OK, let text else { return nil }
        defer { curl_free(text) }
        return String(cString: text)
    }
}
