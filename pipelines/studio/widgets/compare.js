// Portrait, driving clip and result side by side; the two videos play as one.
export default {
  template: `
    <div class="compare">
      <div class="compare__row" :class="{'compare__row--two': !driving}">
        <figure><img :src="portrait" alt="The portrait" /><figcaption>Portrait</figcaption></figure>
        <figure v-if="driving"><video ref="driving" :src="driving" muted playsinline preload="auto" v-show="!unplayable" @error="unplayable = true"></video>
          <p class="compare__none" v-if="unplayable">This browser cannot play the clip's format. The result is not affected.</p>
          <figcaption>Driving clip</figcaption></figure>
        <figure><img v-if="still" :src="result" alt="The result" />
          <video v-else ref="result" :src="result" :muted="muted" playsinline preload="auto" @timeupdate="ticked" @loadedmetadata="ready"
            @play="playing = true" @pause="playing = false" @ended="again"></video>
          <figcaption>Result <b>synthetic</b></figcaption></figure>
      </div>
      <div class="compare__bar" v-if="!still">
        <button type="button" class="button button--quiet" @click="toggle" :aria-label="playing ? 'Pause' : 'Play'">
          <svg viewBox="0 0 16 16" aria-hidden="true"><path :d="playing ? 'M4 3h3v10H4zM9 3h3v10H9z' : 'M4 2.5v11l9-5.5z'" /></svg></button>
        <input type="range" min="0" :max="length" step="0.01" :value="time" @input="seek" aria-label="Position in the video"
          :aria-valuetext="clock" :style="{'--from': '0%', '--to': (length ? time / length * 100 : 0) + '%'}" />
        <span class="compare__clock">{{ clock }}</span>
        <button type="button" class="button button--quiet" @click="muted = !muted" :aria-pressed="!muted">{{ muted ? 'Sound off' : 'Sound on' }}</button>
      </div>
    </div>`,
  props: { portrait: String, driving: String, result: String, still: Boolean },
  data() {
    return { time: 0, length: 0, playing: false, muted: true, unplayable: false };
  },
  computed: {
    clock() { return `${this.time.toFixed(1)} / ${this.length.toFixed(1)} s`; },
  },
  mounted() { this.follow(); },
  unmounted() { cancelAnimationFrame(this.frame); },
  methods: {
    ready() {
      this.length = this.$refs.result.duration || 0;
      if (!matchMedia("(prefers-reduced-motion: reduce)").matches) this.$refs.result.play().catch(() => {});
    },
    toggle() { this.playing ? this.$refs.result.pause() : this.$refs.result.play(); },
    seek(event) {
      this.go(Number(event.target.value));
      this.ticked();
    },
    again() {
      this.go(0);
      this.$refs.result.play();
    },
    go(time) {
      for (const video of [this.$refs.result, this.$refs.driving]) if (video) video.currentTime = time;
    },
    ticked() { if (this.$refs.result) this.time = this.$refs.result.currentTime; },
    follow() {
      // the result leads; the driving clip starts and stops with it and is put right when it drifts
      const { result, driving } = this.$refs;
      if (result && driving && driving.readyState > 1) {
        if (result.paused !== driving.paused) result.paused ? driving.pause() : driving.play().catch(() => {});
        if (Math.abs(result.currentTime - driving.currentTime) > 0.12 && !driving.seeking) driving.currentTime = result.currentTime;
        if (!result.paused) this.time = result.currentTime;
      }
      this.frame = requestAnimationFrame(this.follow);
    },
  },
};
