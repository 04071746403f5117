{{- define "cton.name" -}}
{{- printf "%s" (ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name)) | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "cton.labels" -}}
{{ include "cton.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "cton.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "cton.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "cton.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "cton.name" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{/* How many pods there are. */}}
{{- define "cton.replicas" -}}
{{- ternary 2 .Values.shards (or .Values.lease.enabled .Values.pair.enabled) -}}
{{- end -}}

{{/* Whether /var/lib/cton is on a volume that outlives the pod. */}}
{{- define "cton.persistent" -}}
{{- if and .Values.persistence.enabled (or (eq .Values.kind "StatefulSet") (and (eq .Values.kind "CronJob") .Values.persistence.existingClaim)) -}}yes{{- end -}}
{{- end -}}

{{/* The configuration, with what the chart adds where it is not set. */}}
{{- define "cton.config" -}}
{{- $added := dict -}}
{{- if ne .Values.kind "CronJob" -}}
{{- $_ := set $added "web" (dict "listen" (printf ":%v" .Values.web.port)) -}}
{{- $_ := set $added "watch_config" true -}}
{{- end -}}
{{- if include "cton.persistent" . -}}
{{- $_ := set $added "state_file" "/var/lib/cton/state" -}}
{{- end -}}
{{- if .Values.persistence.sharedClaim -}}
{{- $_ := set $added "state_file" "/var/lib/cton/shared/state" -}}
{{- end -}}
{{- if .Values.lease.enabled -}}
{{- $_ := set $added "external_labels" (dict "instance" (include "cton.name" .)) -}}
{{- end -}}
{{- if .Values.pair.enabled -}}
{{- $_ := set $added "external_labels" (dict "instance" (include "cton.name" .) "cluster" (include "cton.name" .) "__replica__" "env:POD_NAME") -}}
{{- end -}}
{{- mergeOverwrite $added (deepCopy .Values.config) | toYaml -}}
{{- end -}}

{{/* Nine tenths of the memory limit in bytes, "" without a limit. */}}
{{- define "cton.memoryLimit" -}}
{{- $limit := dig "limits" "memory" "" .Values.resources | toString -}}
{{- $units := dict "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "k" 1000 "M" 1000000 "G" 1000000000 -}}
{{- $number := regexFind "^[0-9]+" $limit -}}
{{- $unit := trimPrefix $number $limit -}}
{{- if and $number (eq $unit "") -}}
{{- div (mul (int64 $number) 9) 10 -}}
{{- else if and $number (hasKey $units $unit) -}}
{{- div (mul (int64 $number) (get $units $unit) 9) 10 -}}
{{- end -}}
{{- end -}}

{{/* The pod's specification, for each kind. */}}
{{- define "cton.pod" -}}
{{- $cron := eq .Values.kind "CronJob" -}}
serviceAccountName: {{ include "cton.serviceAccount" . }}
automountServiceAccountToken: {{ or .Values.lease.enabled .Values.serviceAccount.automountToken }}
terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
containers:
- name: cton
  image: {{ include "cton.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args:
  {{- if $cron }}
  {{- toYaml .Values.cron.args | nindent 2 }}
  {{- else }}
  - run
  {{- end }}
  - --config=/etc/cton/cton.yaml
  {{- with .Values.extraArgs }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- $memory := include "cton.memoryLimit" . }}
  {{- $sharded := gt (int .Values.shards) 1 }}
  {{- if and .Values.persistence.sharedClaim (eq .Values.kind "StatefulSet") (not (or .Values.lease.enabled .Values.pair.enabled)) }}
  {{- $sharded = true }}{{- /* also one pod: without a shard it would keep the state file to itself, and a second pod could not start */}}
  {{- end }}
  {{- if or .Values.env $memory $sharded .Values.lease.enabled .Values.pair.enabled }}
  env:
  {{- if $sharded }}
  - {name: CTON_SHARD, value: {{ printf "ordinal/%v" .Values.shards | quote }}}
  {{- end }}
  {{- if .Values.lease.enabled }}
  - {name: CTON_LEASE, value: {{ include "cton.name" . | quote }}}
  {{- end }}
  {{- if .Values.pair.enabled }}
  - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
  {{- end }}
  {{- with $memory }}
  - {name: GOMEMLIMIT, value: {{ . | quote }}}
  {{- end }}
  {{- with .Values.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- end }}
  {{- with .Values.envFrom }}
  envFrom:
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- if not $cron }}
  ports:
  - {name: web, containerPort: {{ .Values.web.port }}}
  {{- if and .Values.metrics.port (ne (int .Values.metrics.port) (int .Values.web.port)) }}
  - {name: metrics, containerPort: {{ .Values.metrics.port }}}
  {{- end }}
  startupProbe:
    httpGet: {path: /-/healthy, port: web}
    periodSeconds: 2
    failureThreshold: 30
  livenessProbe:
    httpGet: {path: /-/healthy, port: web}
    periodSeconds: 20
    timeoutSeconds: 5
  readinessProbe:
    httpGet: {path: /-/ready, port: web}
    periodSeconds: 10
    timeoutSeconds: 5
  {{- end }}
  securityContext:
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities: {drop: [ALL]}
  resources:
    {{- toYaml .Values.resources | nindent 4 }}
  volumeMounts:
  - {name: config, mountPath: /etc/cton, readOnly: true}
  - {name: data, mountPath: /var/lib/cton}
  {{- if .Values.persistence.sharedClaim }}
  - {name: shared, mountPath: /var/lib/cton/shared}
  {{- end }}
  - {name: tmp, mountPath: /tmp}
  {{- range $i, $m := .Values.secretMounts }}
  - {name: secret-{{ $i }}, mountPath: {{ $m.mountPath }}, readOnly: true}
  {{- end }}
volumes:
- name: config
  {{- if .Values.existingSecret }}
  secret: {secretName: {{ .Values.existingSecret }}}
  {{- else }}
  configMap: {name: {{ .Values.existingConfigMap | default (include "cton.name" .) }}}
  {{- end }}
- {name: tmp, emptyDir: {sizeLimit: 64Mi}}
{{- if not (eq .Values.kind "StatefulSet" | and .Values.persistence.enabled) }}
{{- if include "cton.persistent" . }}
- {name: data, persistentVolumeClaim: {claimName: {{ .Values.persistence.existingClaim }}}}
{{- else }}
- {name: data, emptyDir: {}}
{{- end }}
{{- end }}
{{- with .Values.persistence.sharedClaim }}
- {name: shared, persistentVolumeClaim: {claimName: {{ . }}}}
{{- end }}
{{- range $i, $m := .Values.secretMounts }}
- {name: secret-{{ $i }}, secret: {secretName: {{ $m.secretName }}, defaultMode: 0440}}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "cton.podMetadata" -}}
labels:
  {{- include "cton.labels" . | nindent 2 }}
  {{- with .Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
