# The build needs nothing but the Go image; the result holds the binary, the
# certificates of the public authorities and an unprivileged user.
FROM golang:1.26 AS build
ENV CGO_ENABLED=0
WORKDIR /src
# What changes seldom: the modules, and the compiled standard library.
COPY go.mod go.sum ./
RUN go mod download && go build -trimpath std
COPY . .
ARG VERSION=
RUN go build -trimpath -ldflags "-s -w -X main.release=${VERSION}" -o /sfproxy .

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /sfproxy /
USER 65532:65532
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=6s --start-period=5s CMD ["/sfproxy", "health"]
ENTRYPOINT ["/sfproxy"]
