import Foundation
import Replication
import TestSupport
import Testing

@testable import Platforms

/// Certificates that `openssl` has made; it also judges what is signed.
@Suite struct ClientAssertionTests {
    private let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    @discardableResult
    private func openssl(_ arguments: String...) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        process.arguments = arguments
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "openssl \(arguments.joined(separator: " "))")
        return String(decoding: text, as: UTF8.self)
    }

    /// - Returns: the path of certificate and key together.
    private func certificate(key: [String] = ["rsa:2048"], password: String? = nil) throws -> String {
        let (one, other, both) = (folder.file("key.pem"), folder.file("certificate.pem"), folder.file("both.pem"))
        let protection = password.map { ["-passout", "pass:\($0)"] } ?? ["-noenc"]
        let arguments =
            ["req", "-x509", "-newkey"] + key + ["-keyout", one, "-out", other, "-subj", "/CN=test", "-days", "1"] + protection
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        process.arguments = arguments
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
        let text = try String(contentsOfFile: other, encoding: .utf8) + String(contentsOfFile: one, encoding: .utf8)
        try text.write(toFile: both, atomically: true, encoding: .utf8)
        return both
    }

    private func decoded(_ part: Substring) throws -> Data {
        var text = part.replacing("-", with: "+").replacing("_", with: "/")
        while text.utf8.count % 4 != 0 { text += "=" }
        return try #require(Data(base64Encoded: String(text)))
    }

    @Test(arguments: [nil, "pass word"]) func theSignatureIsTheKeysOwn(password: String?) throws {
        let file = try certificate(password: password)
        let assertion = try ClientAssertion(file: file, password: password, client: "client", audience: "https://login/t/token")
        let parts = assertion.text.split(separator: ".")
        try #require(parts.count == 3)
        let header = try JSONDecoder().decode([String: String].self, from: try decoded(parts[0]))
        #expect(header["alg"] == "PS256")
        let fingerprint = try openssl("x509", "-in", file, "-noout", "-fingerprint", "-sha256").split(separator: "=").last ?? ""
        let bytes = fingerprint.split(separator: ":").compactMap { UInt8($0.trimmingCharacters(in: .whitespacesAndNewlines), radix: 16) }
        #expect(header["x5t#S256"] == ClientAssertion.base64URL(bytes))
        struct Claims: Decodable {
            var aud: String
            var iss: String
            var sub: String
            var nbf: Double
            var exp: Double
        }
        let claims = try JSONDecoder().decode(Claims.self, from: try decoded(parts[1]))
        #expect(claims.aud == "https://login/t/token" && claims.iss == "client" && claims.sub == "client")
        #expect(abs(claims.nbf - Date().timeIntervalSince1970) < 60 && claims.exp - claims.nbf == 600)
        let key = try openssl("x509", "-in", file, "-noout", "-pubkey")
        try key.write(toFile: folder.file("public.pem"), atomically: true, encoding: .utf8)
        try Data("\(parts[0]).\(parts[1])".utf8).write(to: URL(fileURLWithPath: folder.file("signed")))
        try decoded(parts[2]).write(to: URL(fileURLWithPath: folder.file("signature")))
        let verdict = try openssl(
            "dgst", "-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32", "-verify", folder.file("public.pem"),
            "-signature", folder.file("signature"), folder.file("signed"))
        #expect(verdict.contains("Verified OK"))
    }

    private func refusal(_ file: String, password: String? = nil) -> String {
        do {
            _ = try ClientAssertion(file: file, password: password, client: "c", audience: "a")
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    @Test func whatCannotSignIsNamed() throws {
        #expect(refusal("/nowhere/cert.pem").contains("/nowhere/cert.pem cannot be read"))
        let encrypted = try certificate(password: "canary")
        #expect(refusal(encrypted).contains("no private key"))
        #expect(!refusal(encrypted, password: "canary-wrong").contains("canary"))
        #expect(refusal(folder.file("key.pem")).contains("no certificate"))
        #expect(refusal(folder.file("certificate.pem")).contains("no private key"))
        #expect(refusal(try certificate(key: ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"])).contains("none of RSA"))
    }
}
