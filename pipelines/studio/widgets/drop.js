// A place to drop one file, or to choose it. The file goes up as the body of one request; the server's answer is shown here.
let count = 0;

export default {
  template: `
    <section class="drop" :class="{'drop--over': over, 'drop--bad': message, 'drop--full': shown}"
      @dragover.prevent="over = true" @dragleave="over = false" @drop.prevent="dropped">
      <input class="unseen" type="file" :id="uid" :accept="accept" :aria-describedby="uid + '-hint'" @change="chosen" />
      <label class="drop__area" :for="uid">
        <span class="drop__picture" v-if="shown"><img v-if="kind === 'image'" :src="shown" alt="" />
          <video v-else :src="shown" muted playsinline preload="metadata" @error="unplayable = true" v-show="!unplayable"></video>
          <span v-if="kind !== 'image' && unplayable">no preview in this browser</span></span>
        <svg v-else class="drop__icon" viewBox="0 0 24 24" aria-hidden="true"><path :d="icon" /></svg>
        <span class="drop__text">
          <strong>{{ shown ? name : title }}</strong>
          <small :id="uid + '-hint'">{{ shown ? facts : hint }}</small>
          <span class="drop__button" aria-hidden="true">{{ shown ? 'Replace' : 'Choose a file' }}</span>
        </span>
      </label>
      <div class="drop__bar" v-if="share !== null" role="progressbar" :aria-valuenow="Math.round(share * 100)" aria-label="Upload">
        <i :style="{width: share * 100 + '%'}"></i></div>
      <p class="drop__state" v-if="state && !message" role="status"><i class="spinner" aria-hidden="true"></i>{{ state }}</p>
      <p class="drop__message" v-if="message" role="alert">{{ message }} {{ fix }}</p>
    </section>`,
  props: {
    url: String, title: String, hint: String, accept: String, limit: Number, kind: String, icon: String,
    shown: String, name: String, facts: String, state: String, error: String, remedy: String,
  },
  data() {
    return { over: false, share: null, own: null, unplayable: false, uid: "drop-" + ++count };
  },
  computed: {
    message() { return this.own ? this.own.message : this.error; },
    fix() { return this.own ? this.own.fix : this.remedy; },
  },
  watch: {
    shown() { this.unplayable = false; },
  },
  methods: {
    chosen(event) {
      if (event.target.files.length) this.send(event.target.files[0]);
      event.target.value = "";
    },
    dropped(event) {
      this.over = false;
      if (event.dataTransfer.files.length) this.send(event.dataTransfer.files[0]);
    },
    send(file) {
      this.own = null;
      if (file.size > this.limit) {
        this.own = { message: `This file is larger than ${Math.floor(this.limit / 1048576)} MB.`, fix: "Choose a smaller one, or cut the clip." };
        return;
      }
      const request = new XMLHttpRequest();
      request.upload.onprogress = (e) => { this.share = e.lengthComputable ? e.loaded / e.total : 0; };
      request.onload = () => {
        this.share = null;
        try {
          const answer = JSON.parse(request.responseText);
          if (answer.message) this.own = answer;
        } catch (error) {
          this.own = { message: `The server answered ${request.status}.`, fix: "Reload the page." };
        }
      };
      request.onerror = () => {
        this.share = null;
        this.own = { message: "The upload was cut off.", fix: "Try again." };
      };
      this.share = 0;
      request.open("POST", this.url + "?name=" + encodeURIComponent(file.name.slice(-200)));
      request.setRequestHeader("Content-Type", "application/octet-stream");
      request.send(file);
    },
  },
};
