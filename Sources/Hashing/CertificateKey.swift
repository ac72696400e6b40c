import CCrypto

/// A certificate and its private RSA key, which signs for it.
public final class CertificateKey: @unchecked Sendable {
    // Read only once made: libcrypto lets several threads sign with one key.
    private let key: OpaquePointer
    /// SHA-256 of the certificate.
    public let thumbprint: SHA256Digest

    public enum Failure: Error, Sendable, Hashable, CustomStringConvertible {
        case noCertificate, noKey, notRSA, failed
        public var description: String {
            switch self {
            case .noCertificate: "no certificate is in it; expected PEM with -----BEGIN CERTIFICATE-----"
            case .noKey:
                "no private key is in it that can be read; expected PEM with -----BEGIN PRIVATE KEY-----, and the password where it has one"
            case .notRSA: "its key is none of RSA"
            case .failed: "libcrypto could not sign"
            }
        }
    }

    /// - Parameters:
    ///   - pem: certificate and key, in any order. Of several certificates the first.
    ///   - password: of the key; nil: it has none.
    public init(pem: [UInt8], password: String? = nil) throws(Failure) {
        guard let certificate = Self.read(pem, { PEM_read_bio_X509($0, nil, nil, nil) }) else { throw .noCertificate }
        defer { X509_free(certificate) }
        var digest = [UInt8](repeating: 0, count: 32)
        guard X509_digest(certificate, EVP_sha256(), &digest, nil) == 1 else { throw .noCertificate }
        var secret = Array((password ?? "").utf8CString)
        // A password is always given, so that none is asked for at the terminal.
        let key = secret.withUnsafeMutableBytes { secret in
            Self.read(pem) { PEM_read_bio_PrivateKey($0, nil, nil, secret.baseAddress) }
        }
        guard let key else { throw .noKey }
        guard EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA else {
            EVP_PKEY_free(key)
            throw .notRSA
        }
        self.key = key
        thumbprint = SHA256Digest(bytes: digest)
    }

    deinit { EVP_PKEY_free(key) }

    private static func read(_ pem: [UInt8], _ parse: (OpaquePointer) -> OpaquePointer?) -> OpaquePointer? {
        pem.withUnsafeBytes { bytes in
            guard let source = BIO_new_mem_buf(bytes.baseAddress, Int32(bytes.count)) else { return nil }
            defer { BIO_free(source) }
            return parse(source)
        }
    }

    /// RSASSA-PSS with SHA-256, as JWT's `PS256` (RFC 7518, 3.5).
    public func sign(_ data: [UInt8]) throws(Failure) -> [UInt8] {
        guard let context = EVP_MD_CTX_new() else { throw .failed }
        defer { EVP_MD_CTX_free(context) }
        var options: OpaquePointer?
        guard EVP_DigestSignInit(context, &options, EVP_sha256(), nil, key) == 1,
            EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1,
            EVP_PKEY_CTX_set_rsa_pss_saltlen(options, Int32(RSA_PSS_SALTLEN_DIGEST)) == 1
        else { throw .failed }
        var length = 0
        guard EVP_DigestSign(context, nil, &length, data, data.count) == 1 else { throw .failed }
        var signature = [UInt8](repeating: 0, count: length)
        guard EVP_DigestSign(context, &signature, &length, data, data.count) == 1 else { throw .failed }
        return Array(signature.prefix(length))
    }
}
