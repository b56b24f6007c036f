# Four static programs from one build stage:
#
#	docker build --target client -t flurry-client .     (or broker, proxy, server)
#
# scripts/docker-check runs the RUN steps of this file without a container engine; keep them to one line each.

FROM golang:1.26-bookworm AS build
ARG OUT=/out
WORKDIR /src
COPY go.mod go.sum ./
COPY third_party third_party
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags=-buildid= -o "$OUT/snowflake-client" ./client
RUN CGO_ENABLED=0 go build -trimpath -ldflags=-buildid= -o "$OUT/snowflake-broker" ./broker
RUN CGO_ENABLED=0 go build -trimpath -ldflags=-buildid= -o "$OUT/snowflake-proxy" ./proxy
RUN CGO_ENABLED=0 go build -trimpath -ldflags=-buildid= -o "$OUT/snowflake-server" ./server
# Where a program may write: certificate caches, logs.
RUN mkdir -p "$OUT/state" && chmod 0777 "$OUT/state"

# Without a user database users are numbers; 65534 is nobody.
FROM scratch AS client
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/state /state
COPY --from=build /out/snowflake-client /bin/snowflake-client
USER 65534:65534
WORKDIR /state
ENTRYPOINT ["/bin/snowflake-client"]

FROM scratch AS broker
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/state /state
COPY --from=build /out/snowflake-broker /bin/snowflake-broker
USER 65534:65534
WORKDIR /state
ENTRYPOINT ["/bin/snowflake-broker"]

FROM scratch AS proxy
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/state /state
COPY --from=build /out/snowflake-proxy /bin/snowflake-proxy
USER 65534:65534
WORKDIR /state
ENTRYPOINT ["/bin/snowflake-proxy"]

FROM scratch AS server
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/state /state
COPY --from=build /out/snowflake-server /bin/snowflake-server
USER 65534:65534
WORKDIR /state
ENTRYPOINT ["/bin/snowflake-server"]
