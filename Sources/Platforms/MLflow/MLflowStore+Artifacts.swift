import Curl
public import Replication

extension MLflowStore {
    public func artifacts(of owner: ArtifactOwner, under path: String, _ page: PageToken?) async throws -> Page<ArtifactEntry> {
        if let files { return try await files.artifacts(of: owner, under: path, page) }
        struct Answer: Decodable {
            var files: [WireFile]?
            var nextPageToken: String?
        }
        if !path.isEmpty, let fault = ArtifactPath.fault(path) ?? ArtifactPath.faultAsQuery(path) { throw refusal(path, owner, fault) }
        let (call, folder) = listing(owner, path, page)
        let answer = try decode(Answer.self, try await send(call), call)
        var result = Page<ArtifactEntry>([])
        for file in answer.files ?? [] {
            let name = folder + file.path
            let isDirectory = file.isDir ?? false
            let size = file.fileSize?.value
            let fault =
                ArtifactPath.fault(ofEntry: name, under: path) ?? ArtifactPath.faultOnServer(name)
                ?? (isDirectory ? ArtifactPath.faultAsQuery(name) : nil) ?? size.flatMap { ArtifactPath.fault(ofSize: $0) }
            if let fault {
                result.undecodable.append(
                    Undecodable(kind: owner.kind, id: String(name.prefix(300)), reason: "\(fault): \(name.debugDescription.prefix(300))"))
            } else {
                // The size of an empty file is left out of the answer (`to_proto` of mlflow/entities/file_info.py).
                result.elements.append(ArtifactEntry(path: name, isDirectory: isDirectory, size: isDirectory ? nil : size ?? 0))
            }
        }
        if let next = answer.nextPageToken.nonEmpty {
            guard next != page?.rawValue else { throw failure.malformed(call, "the same page twice") }
            result.next = PageToken(rawValue: next)
        }
        return result
    }

    /// The call, and what its answer leaves out of each path: the proxy names what lies in a folder, the tracking server counts from the root.
    private func listing(_ owner: ArtifactOwner, _ path: String, _ page: PageToken?) -> (MLflowCall, folder: String) {
        let token = page.map { [("page_token", $0.rawValue)] } ?? []
        let subject = "the files of \(owner)\(path.isEmpty ? "" : " under \(path)")"
        // Half the work for the server: it does not read the owner first.
        if case .proxy(let root) = ArtifactRoute(root: owner.root, endpoint: endpoint), !root.isEmpty {
            let query = [("path", path.isEmpty ? root : "\(root)/\(path)")] + token
            return (.get("/api/2.0/mlflow-artifacts/artifacts", query, of: subject), path.isEmpty ? "" : path + "/")
        }
        switch owner.id {
        case .run(let id):
            let query = [("run_id", id.rawValue)] + (path.isEmpty ? [] : [("path", path)]) + token
            return (.get(MLflowCall.api("artifacts/list"), query, of: subject), "")
        case .loggedModel(let id):
            let call = MLflowCall.api("logged-models/\(PercentEncoding.encode(id.rawValue))/artifacts/directories")
            return (.get(call, (path.isEmpty ? [] : [("artifact_directory_path", path)]) + token, of: subject), "")
        }
    }

    /// A body that is cut short fails as `truncated`, where the server said how long it is. Its size in the listing is the caller's to
    /// compare.
    public func readArtifact<R: Sendable>(
        _ path: String, of owner: ArtifactOwner, _ read: @Sendable (ByteStream) async throws -> R
    ) async throws -> R {
        try Task.checkCancellation()
        if let files { return try await files.readArtifact(path, of: owner, read) }
        let call = try reading(path, of: owner)
        do {
            return try await download(call, read)
        } catch let error as StoreError where error.reason == .unreachable && !path.utf8.allSatisfy({ $0 < 128 }) {
            // MLflow 2's proxy puts the bare name into a header, and dies of one outside Latin-1 (2.22, `_download_artifact`); the
            // older route does not.
            return try await download(try direct(path, of: owner), read)
        }
    }

    public func copySource(_ path: String, of owner: ArtifactOwner) async throws -> ArtifactCopySource? {
        try Task.checkCancellation()
        return try await files?.copySource(path, of: owner)
    }

    private func download<R: Sendable>(_ call: MLflowCall, _ read: @Sendable (ByteStream) async throws -> R) async throws -> R {
        try await authorized(call) { try await download(call, $0, read) }
    }

    private func download<R: Sendable>(
        _ call: MLflowCall, _ request: HTTPRequest, _ read: @Sendable (ByteStream) async throws -> R
    ) async throws -> R {
        do {
            return try await client.withResponse(request) { response in
                guard (200..<300).contains(response.status) else {
                    let body = try await response.collect(limit: 1 << 20)
                    throw artifactError(call, status: response.status, headers: response.headers, body: body)
                }
                // A server hands out every file as an attachment; a log-in page is none.
                if response.header("Content-Disposition") == nil, response.header("Content-Type")?.hasPrefix("text/html") == true {
                    throw failure.malformed(call, headers: response.headers, "a web page in a file's place")
                }
                return try await read(
                    ByteStream {
                        do {
                            return try await response.next()
                        } catch let error as HTTPError {
                            throw failure.thrown(call, error)
                        }
                    })
            }
        } catch let error as HTTPError {
            throw failure.thrown(call, error)
        }
    }

    /// Here an unknown route and a missing file look alike: both are 404.
    private func artifactError(_ call: MLflowCall, status: Int, headers: [HTTPHeader], body: [UInt8]) -> StoreError {
        let error = failure.error(call, status: status, headers: headers, body: body)
        // A server whose files lie on its own disk answers 500 with Python's words where a file is missing.
        let isMissing = status == 404 || status == 500 && error.message.contains("No such file or directory")
        return isMissing ? StoreError(.setAside, .notFound, error.message) : error
    }

    private func reading(_ path: String, of owner: ArtifactOwner) throws(StoreError) -> MLflowCall {
        let subject = "file \(path) of \(owner)"
        if let fault = ArtifactPath.fault(path) ?? ArtifactPath.faultOnServer(path) { throw refusal(path, owner, fault) }
        if case .proxy(let root) = ArtifactRoute(root: owner.root, endpoint: endpoint) {
            return .get(Self.proxyPath("artifacts", root, path), of: subject)
        }
        return try direct(path, of: owner)
    }

    /// Through the server's own reading of the owner's root, whatever that is.
    private func direct(_ path: String, of owner: ArtifactOwner) throws(StoreError) -> MLflowCall {
        let subject = "file \(path) of \(owner)"
        if let fault = ArtifactPath.faultAsQuery(path) { throw refusal(path, owner, fault) }
        switch owner.id {
        case .run(let id): return .get("/get-artifact", [("run_uuid", id.rawValue), ("path", path)], of: subject)
        case .loggedModel(let id):
            return .get(
                MLflowCall.ajax("logged-models/\(PercentEncoding.encode(id.rawValue))/artifacts/files"), [("artifact_file_path", path)],
                of: subject)
        }
    }

    /// A path of the artifact proxy; every part is encoded once.
    static func proxyPath(_ route: String, _ root: String, _ path: String) -> String {
        let joined = root.isEmpty ? path : path.isEmpty ? root : "\(root)/\(path)"
        return "/api/2.0/mlflow-artifacts/\(route)/\(PercentEncoding.encodePath(joined))"
    }

    func refusal(_ path: String, _ owner: ArtifactOwner, _ fault: String) -> StoreError {
        StoreError(.setAside, .invalid, "\(name), \(owner): the file \(path.debugDescription.prefix(300)) cannot be asked for: \(fault)")
    }
}

extension ArtifactOwner: CustomStringConvertible {
    public var description: String {
        switch id {
        case .run(let id): "run \(id)"
        case .loggedModel(let id): "logged model \(id)"
        }
    }

    var kind: EntityKey.Kind {
        switch id {
        case .run: .runArtifacts
        case .loggedModel: .loggedModelArtifacts
        }
    }
}
